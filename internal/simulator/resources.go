package simulator

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// visit is a request with access, as far as resources need it.
type visit struct {
	user     []byte
	quota    quota
	sequence int64
	metered  bool
	now      time.Time
	query    url.Values
}

// resources holds the routes below /v2/, by path without the slashes around it: those that the vendor's command-line
// client requests, for an account that tracks no app. Other routes are 404.
var resources = map[string]func(visit) []byte{
	"":                  root,
	"usage":             usage,
	"users/me":          me,
	"users/me/features": nothing,
	"products/mine":     noProducts,
	"reviews":           noReviews,
	"keywords":          nothing,
	"reports/sales":     noRows,
	"reports/revenue":   noRows,
	"reports/ratings":   noRows,
}

// root describes the authenticated user: https://docs.appfigures.com/api/reference/v2/root. The status is a string.
func root(v visit) []byte {
	body := make([]byte, 0, 512)
	body = append(body, `{"status":"200","message":"OK","see":"http://docs.appfigures.com/api","version":"2.0","user":`...)
	body = append(body, v.user...)
	if v.metered {
		body = append(body, `,"usage":{"daily_used":`...)
		body = strconv.AppendInt(body, v.quota.used, 10)
		body = append(body, `,"daily_limit":`...)
		body = strconv.AppendInt(body, v.quota.limit, 10)
		body = append(body, `},"sequence":`...)
		body = strconv.AppendInt(body, v.sequence, 10)
		body = append(body, `,"source":"100"`...)
	}
	return append(body, '}')
}

// usage returns the account's requests of today: https://docs.appfigures.com/api/reference/v2/api-usage.
func usage(v visit) []byte {
	return fmt.Appendf(nil, `{"api_requests":{"history":{"total":%[1]d,"today":%[1]d,"history":{"%[2]s":%[1]d}},`+
		`"total":%[3]d,"used":%[1]d,"remaining":%[4]d},`+
		`"partner_api":{"history":{"total":0,"today":0,"history":{}},"total":0,"used":0,"remaining":0}}`,
		v.quota.used, v.now.UTC().Format("2006-01-02T00:00:00Z"), v.quota.limit, max(v.quota.limit-v.quota.used, 0))
}

// me returns the user, with fewer fields than https://docs.appfigures.com/api/reference/v2/users.
func me(v visit) []byte { return v.user }

// nothing returns an empty list: of tracked keywords, or of the features that the account has paid for.
func nothing(visit) []byte { return []byte(`[]`) }

// noRows returns an empty report, a list or an object: https://docs.appfigures.com/api/reference/v2/sales.
func noRows(v visit) []byte {
	if v.query.Get("format") == "flat" {
		return nothing(v)
	}
	return []byte(`{}`)
}

// noProducts returns no products: a page if the query asks for one, otherwise a map from id to product.
func noProducts(v visit) []byte {
	if !v.query.Has("page") {
		return []byte(`{}`)
	}
	const page = `{"metadata":{"resultset":{"count":%d,"page":%d,"total_count":0,"total_pages":0}},"results":[]}`
	return fmt.Appendf(nil, page, number(v.query.Get("count"), 10), number(v.query.Get("page"), 1))
}

// noReviews returns an empty page of https://docs.appfigures.com/api/reference/v2/reviews.
func noReviews(v visit) []byte {
	return fmt.Appendf(nil, `{"total":0,"pages":0,"this_page":%d,"reviews":[]}`, number(v.query.Get("page"), 1))
}

// number returns text as a positive number, or fallback if it is none.
func number(text string, fallback int) int {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 {
		return n
	}
	return fallback
}
