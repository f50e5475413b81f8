package appfigures

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// Statuses of the API that net/http does not name or that the rules below turn on.
const (
	statusChillOut = 420 // the account's daily limit is used up
	statusSlowDown = http.StatusTooManyRequests
)

// answer is what a response says.
type answer struct {
	result     probe.Result
	message    string         // not cleaned
	quota      probe.Quota    // zero unless result.Answered
	throttle   probe.Throttle // also of a box that answers for the API
	user       uint64
	serverTime time.Time
}

// classify returns what a response says. bodyErr is why the body did not arrive whole, nil if it did.
func classify(status int, header http.Header, body []byte, bodyErr error, now time.Time) answer {
	r := parseResponse(status, header, body, bodyErr)
	a := answer{throttle: readThrottle(r.status, header, now)}
	a.serverTime, _ = http.ParseTime(header.Get("Date"))
	a.result, a.message = r.classify()
	if a.result.Answered() {
		a.quota = readQuota(header, r.doc)
	}
	if a.result == probe.Valid {
		a.user = r.doc.User.hash
	}
	return a
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
	if status == http.StatusOK && r.isObject && r.doc.Status.isError() {
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
	case r.status == statusChillOut || r.status == statusSlowDown:
		return probe.RateLimited, r.text
	case r.bodyErr != nil:
		return probe.Unexpected, fmt.Sprintf("status %d, but %s", r.status, incomplete(r.bodyErr))
	case r.status == http.StatusUnauthorized:
		return r.unauthorized()
	case r.status == http.StatusForbidden:
		return r.forbidden()
	case r.location != "":
		return probe.Unexpected, fmt.Sprintf("status %d, a redirect to %s, not an answer of the API", r.status, r.location)
	case r.status != http.StatusOK:
		return probe.Unexpected, withText(fmt.Sprintf("status %d, which the API does not use", r.status), r.text)
	case !r.isObject:
		return probe.Unexpected, "status 200, but the body is not a JSON object"
	case !r.doc.User.present:
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

// forbidden classifies a 403. Only what is in a form of the API denies; gateways and firewalls answer 403, too. What
// the API says of tokens and accounts is believed in another form if the text begins with it: no gateway would.
func (r response) forbidden() (probe.Result, string) {
	text := strings.ToLower(strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || c == '"' {
			return -1
		}
		return c
	}, r.text))
	known, says := r.isAPIError() || r.isOAuthError() || r.challenges.bearer, strings.HasPrefix
	if known {
		says = strings.Contains
	}
	const invalid = "invalid_token"
	switch {
	case r.challenges.code == invalid, r.doc.Error == invalid, says(text, "accesstokeninvalid"):
		return probe.Rejected, r.text
	case says(text, "noapiaccess"), says(text, "apiaccessisdisabled"):
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
	case "invalid_request", "invalid_token", "insufficient_scope", // RFC 6750, section 3.1
		"invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope", "access_denied": // RFC 6749
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

// incomplete returns why a body did not arrive whole.
func incomplete(err error) string {
	switch {
	case errors.Is(err, errTooLarge):
		return errTooLarge.Error()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the body was cut short"
	default:
		return "the body is unreadable: " + err.Error()
	}
}

// isHTML reports whether a body that is not a JSON object is a web page: declared as one, or looking like one.
func isHTML(contentType string, body []byte) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	if media == "text/html" || media == "application/xhtml+xml" {
		return true
	}
	return strings.HasPrefix(http.DetectContentType(body), "text/html")
}

// document is what this package reads of a body.
type document struct {
	Status      number          `json:"status"`
	Message     text            `json:"message"`
	Description text            `json:"error_description"`
	Error       text            `json:"error"`
	Additional  text            `json:"additional"`
	User        user            `json:"user"`
	Usage       json.RawMessage `json:"usage"`

	// Fields of other programs' errors.
	Path text `json:"path"`
	URL  text `json:"url"`
}

// decode reads a body, and reports whether it is a JSON object.
func decode(body []byte) (document, bool) {
	var doc document
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return doc, false
	}
	if json.Unmarshal(body, &doc) != nil {
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
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = text(s)
	}
	return nil
}

// user is what is read of the API's user: neither name, nor e-mail address, nor pictures.
type user struct {
	present bool   // whether it is an object
	hash    uint64 // identifies the user within this process; 0 without an id
}

// userSeed makes hashes of users differ from process to process.
var userSeed = maphash.MakeSeed()

// UnmarshalJSON implements [json.Unmarshaler] and never fails.
func (u *user) UnmarshalJSON(data []byte) error {
	*u = user{present: data[0] == '{'}
	var object struct {
		ID json.RawMessage `json:"id"`
	}
	if !u.present || json.Unmarshal(data, &object) != nil {
		return nil
	}
	id := bytes.Trim(object.ID, `"`) // a number, or a string
	if len(id) > 0 && !bytes.ContainsAny(id[:1], "{[") && string(id) != "null" {
		u.hash = max(1, maphash.Bytes(userSeed, id))
	}
	return nil
}
