package appfigures

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

const statusChillOut = 420 // the API's when an account has used up its requests of the day; unknown to net/http

// classify returns what a response says: the result, a message that is not cleaned yet, and the limits. bodyErr is why
// the body did not arrive whole, nil if it did.
func classify(status int, header http.Header, body []byte, bodyErr error) (o probe.Outcome) {
	r := parseResponse(status, header, body, bodyErr)
	o.Result, o.Message = r.classify()
	if o.Result.Answered() && o.Result != probe.Rejected { // whose account may not be this one
		o.Quota = readQuota(header, r.doc)
	}
	if o.Result == probe.RateLimited {
		o.RetryAfter = readRetryAfter(header)
	}
	return o
}

// response is a response as far as the rules need it.
type response struct {
	status     int // the body's if HTTP says 200 and the body 4xx or 5xx
	doc        document
	isObject   bool // whether the body is a JSON object, which is in doc
	html       bool // whether the body is a web page
	challenges challenges
	location   string // of a redirect, host and path only: a query may hold secrets
	text       string // what the response says in words; empty for a web page
	bodyErr    error
}

func parseResponse(status int, header http.Header, body []byte, bodyErr error) response {
	r := response{status: status, bodyErr: bodyErr, challenges: parseChallenges(header)}
	r.doc, r.isObject = decode(body)
	r.html = !r.isObject && isHTML(header.Get("Content-Type"), body)
	switch {
	case r.isObject:
		r.text = r.doc.text()
	case !r.html && bodyErr == nil:
		r.text = string(body)
	}
	if strings.TrimSpace(r.text) == "" {
		r.text = r.challenges.description
	}
	if status == http.StatusOK && r.isObject && r.doc.Status >= 400 && r.doc.Status <= 599 {
		r.status = int(r.doc.Status)
	}
	if status/100 == 3 {
		if u, err := url.Parse(header.Get("Location")); err == nil {
			r.location = u.Host + u.EscapedPath()
		}
	}
	return r
}

// classify applies the rules of the table of results. A response that did not arrive whole decides nothing; statuses
// that decide nothing anyway keep their result.
func (r response) classify() (probe.Result, string) {
	switch {
	case r.html && r.status != http.StatusUnauthorized:
		return probe.Unexpected, fmt.Sprintf("an HTML page with status %d, not an answer of the API", r.status)
	case r.status >= 500 && r.status <= 599:
		return probe.ServerError, r.text
	case r.status == statusChillOut:
		return probe.QuotaExhausted, r.text
	case r.status == http.StatusTooManyRequests:
		return probe.RateLimited, r.text
	case r.bodyErr != nil:
		return probe.Unexpected, fmt.Sprintf("status %d, but the body is not whole: %s", r.status, r.bodyErr)
	case r.status == http.StatusUnauthorized:
		return r.unauthorized()
	case r.status == http.StatusForbidden:
		return r.forbidden()
	case r.location != "":
		return probe.Unexpected, fmt.Sprintf("status %d, a redirect to %s, not an answer of the API",
			r.status, r.location)
	case r.status != http.StatusOK:
		return probe.Unexpected, withText(fmt.Sprintf("status %d, which the API does not use", r.status), r.text)
	case !r.isObject:
		return probe.Unexpected, "status 200, but the body is not a JSON object"
	case !bytes.HasPrefix(r.doc.User, []byte("{")):
		return probe.Unexpected, "status 200, but the body describes no user"
	default:
		return probe.Valid, ""
	}
}

// unauthorized classifies a 401. A gateway's asks for credentials of another scheme, such as Basic or Negotiate. The
// API has an older basic authentication, so its own error form counts for more than the challenge.
func (r response) unauthorized() (probe.Result, string) {
	if r.challenges.foreign != "" && !r.challenges.bearer && !r.isAPIError() {
		problem := "status 401 with a challenge for " + r.challenges.foreign + ", not for a token"
		return probe.Unexpected, withText(problem, r.text)
	}
	return probe.Rejected, r.text
}

// forbidden classifies a 403. Only what is in a form of the API denies; gateways and firewalls answer 403, too, also
// with a challenge for Bearer that has no error. What the API says of tokens and accounts is believed in another form
// if the text begins with it: no gateway would.
func (r response) forbidden() (probe.Result, string) {
	text := strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(r.text, `"`, " ")), ""))
	known, matches := r.isAPIError() || r.isOAuthError() || r.challenges.code != "", strings.HasPrefix
	if known {
		matches = strings.Contains
	}
	const invalid = "invalid_token"
	switch {
	case r.challenges.code == invalid, r.doc.Error == invalid, matches(text, "accesstokeninvalid"):
		return probe.Rejected, r.text
	case matches(text, "noapiaccess"), matches(text, "apiaccessisdisabled"):
		return probe.Locked, r.text
	case known:
		return probe.Forbidden, r.text
	default:
		return probe.Unexpected, withText("status 403, but not in the form of the API's errors", r.text)
	}
}

// isAPIError reports whether the body is the API's own error: an object with the response's status and a message. The
// error pages of Spring Boot and Jetty are such objects, too, but have a path or url.
func (r response) isAPIError() bool {
	return int(r.doc.Status) == r.status && r.doc.Message != "" && r.doc.Path == "" && r.doc.URL == ""
}

// isOAuthError reports whether the body is an error of OAuth 2.0: {"error":"Forbidden"} alone is a gateway's.
func (r response) isOAuthError() bool {
	switch r.doc.Error {
	case "":
		return false
	case "invalid_request", "invalid_token", "insufficient_scope": // RFC 6750, section 3.1
		return true
	default:
		return r.doc.Description != ""
	}
}

// withText appends what the response says to what is wrong with it.
func withText(problem, text string) string {
	if text == "" {
		return problem
	}
	return problem + ": " + text
}

// isHTML reports whether a body that is not a JSON object is a web page: declared as one, or looking like one.
func isHTML(contentType string, body []byte) bool {
	const html = "text/html"
	return strings.HasPrefix(strings.ToLower(contentType), html) || strings.HasPrefix(http.DetectContentType(body), html)
}

// document is what this package reads of a body.
type document struct {
	Status      number          `json:"status"`
	Message     text            `json:"message"`
	Description text            `json:"error_description"`
	Error       text            `json:"error"`
	Additional  text            `json:"additional"`
	User        json.RawMessage `json:"user"`
	Usage       json.RawMessage `json:"usage"`
	Path        text            `json:"path"` // this and URL are of other programs' errors
	URL         text            `json:"url"`
}

// decode reads a body, and reports whether it is a JSON object.
func decode(body []byte) (doc document, isObject bool) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if !bytes.HasPrefix(body, []byte("{")) || json.Unmarshal(body, &doc) != nil {
		return document{}, false
	}
	return doc, true
}

// text joins the message and what the API adds to it.
func (d document) text() string {
	message, additional := string(cmp.Or(d.Message, d.Description, d.Error)), string(d.Additional)
	switch {
	case additional == "" || additional == message:
		return message
	case message == "":
		return additional
	case strings.ContainsAny(message[len(message)-1:], ".!?"):
		return message + " " + additional
	default:
		return message + ": " + additional
	}
}

// text is a JSON string; anything else decodes to "".
type text string

// UnmarshalJSON implements [json.Unmarshaler] and never fails.
func (t *text) UnmarshalJSON(data []byte) error {
	_ = json.Unmarshal(data, (*string)(t))
	return nil
}
