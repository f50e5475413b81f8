package appfigures

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Statuses of the API that net/http does not name or that the rules below turn on.
const (
	statusChillOut = 420 // the account's daily limit is used up
	statusSlowDown = http.StatusTooManyRequests
)

// maxRetryAfter bounds what a Retry-After header is believed to ask for.
const maxRetryAfter = 24 * time.Hour

// classify says what a response means. bodyErr is why the body did not arrive whole, nil when it did.
//
// The rules are the table of results in the README. An answer that did not arrive whole decides nothing; statuses
// that decide nothing anyway keep their result without a body.
func classify(outcome *probe.Outcome, resp *http.Response, body []byte, bodyErr error) {
	doc, isObject := decode(body)
	html := !isObject && isHTML(resp.Header.Get("Content-Type"), body)
	status := resp.StatusCode
	if status == http.StatusOK && isObject && doc.Status.isError() {
		status = int(doc.Status) // the API's own word counts for more than the transport's
	}
	readQuotaBody(&outcome.probe.Quota, doc)
	readThrottle(&outcome.probe.Throttle, status, resp.Header)
	outcome.Message = doc.text()
	if !isObject && !html && bodyErr == nil {
		outcome.Message = string(body)
	}

	switch {
	case html && status != http.StatusUnauthorized:
		outcome.Result = Unexpected
		outcome.Message = fmt.Sprintf("an HTML page with status %d, not an answer of the API", status)
	case status >= 500 && status <= 599:
		outcome.Result = ServerError
	case status == statusChillOut || status == statusSlowDown:
		outcome.Result = RateLimited
	case bodyErr != nil:
		outcome.Result = Unexpected
		outcome.Message = fmt.Sprintf("status %d, but %s", status, incomplete(bodyErr))
	case status == http.StatusUnauthorized:
		outcome.Result = Rejected
		if html {
			outcome.Message = ""
		}
	case status == http.StatusForbidden:
		outcome.Result = forbidden(outcome.Message)
	case status != http.StatusOK:
		outcome.Result = Unexpected
		outcome.Message = strings.TrimSuffix(fmt.Sprintf("status %d, which the API's root does not use: %s", status, outcome.Message), ": ")
	case !isObject:
		outcome.Result = Unexpected
		outcome.Message = "status 200, but the body is not a JSON object"
	case !doc.hasUser():
		outcome.Result = Unexpected
		outcome.Message = "status 200, but the body describes no user"
	default:
		outcome.Result, outcome.Message = Valid, ""
	}
}

// forbidden tells the kinds of 403 apart by what the API says with them.
func forbidden(text string) Result {
	squeezed := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text))
	switch {
	case strings.Contains(squeezed, "accesstokeninvalid"):
		return Rejected
	case strings.Contains(squeezed, "noapiaccess"), strings.Contains(squeezed, "apiaccessisdisabled"):
		return Locked
	default:
		return Forbidden
	}
}

// incomplete says in words why a body did not arrive whole.
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

// isHTML reports whether a body that is no JSON object is a web page: declared as one, or looking like one.
func isHTML(contentType string, body []byte) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	if media == "text/html" || media == "application/xhtml+xml" {
		return true
	}
	return strings.HasPrefix(http.DetectContentType(body), "text/html")
}

// document is what this package reads of an answer's body. The user's name, e-mail address and pictures are not
// decoded at all.
type document struct {
	Status     number          `json:"status"`
	Message    text            `json:"message"`
	Additional text            `json:"additional"`
	User       json.RawMessage `json:"user"`
	Usage      json.RawMessage `json:"usage"`
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

// hasUser reports whether user is an object.
func (d document) hasUser() bool { return len(d.User) > 0 && d.User[0] == '{' }

// text joins the message and what the API adds to it.
func (d document) text() string {
	switch {
	case d.Additional == "" || d.Additional == d.Message:
		return string(d.Message)
	case d.Message == "":
		return string(d.Additional)
	case strings.ContainsAny(string(d.Message[len(d.Message)-1:]), ".!?"):
		return string(d.Message) + " " + string(d.Additional)
	default:
		return string(d.Message) + ": " + string(d.Additional)
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
