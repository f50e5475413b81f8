package simulator

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// visit is what a resource may know of an admitted request.
type visit struct {
	user     []byte
	quota    quota
	sequence int64
	metered  bool
	now      time.Time
	query    url.Values
}

// resources are the routes below /v2/ that the API serves, by their path without slashes at either end: those of an
// account that tracks no app. Any other is 404.
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

// usage tells of the account's requests: https://docs.appfigures.com/api/reference/v2/api-usage. Of the past the
// simulated API knows only today.
func usage(v visit) []byte {
	return fmt.Appendf(nil, `{"api_requests":{"history":{"total":%[1]d,"today":%[1]d,"history":{"%[2]s":%[1]d}},`+
		`"total":%[3]d,"used":%[1]d,"remaining":%[4]d},`+
		`"partner_api":{"history":{"total":0,"today":0,"history":{}},"total":0,"used":0,"remaining":0}}`,
		v.quota.used, v.now.UTC().Format("2006-01-02T00:00:00Z"), v.quota.limit, max(v.quota.limit-v.quota.used, 0))
}

// me is the user alone, with fewer fields than https://docs.appfigures.com/api/reference/v2/users lists.
func me(v visit) []byte { return v.user }

// nothing is an empty list: of tracked keywords, or of the features the account has paid for, which the vendor's client
// asks for beside the products.
func nothing(visit) []byte { return []byte(`[]`) }

// noRows is a report on no product: flat it is a list, else an object by what it is grouped by, as in
// https://docs.appfigures.com/api/reference/v2/sales.
func noRows(v visit) []byte {
	if v.query.Get("format") == "flat" {
		return nothing(v)
	}
	return []byte(`{}`)
}

// noProducts is an empty set of products: in pages when asked for pages, else a map from id to product.
func noProducts(v visit) []byte {
	if !v.query.Has("page") {
		return []byte(`{}`)
	}
	return fmt.Appendf(nil, `{"metadata":{"resultset":{"count":%d,"page":%d,"total_count":0,"total_pages":0}},"results":[]}`,
		number(v.query.Get("count"), 10), number(v.query.Get("page"), 1))
}

// noReviews is an empty page of https://docs.appfigures.com/api/reference/v2/reviews.
func noReviews(v visit) []byte {
	return fmt.Appendf(nil, `{"total":0,"pages":0,"this_page":%d,"reviews":[]}`, number(v.query.Get("page"), 1))
}

// number returns text as a number from 1, or fallback.
func number(text string, fallback int) int {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 {
		return n
	}
	return fallback
}
