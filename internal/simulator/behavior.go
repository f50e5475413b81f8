package simulator

import (
	"fmt"
	"net/http"
)

// Behavior is how the API responds to a token. The set is closed; see [Behaviors].
type Behavior uint8

const (
	// Valid: 200, or 420 once the account's requests of the day are used up.
	Valid Behavior = iota
	// Slow: like Valid, after [Options.SlowDelay].
	Slow
	// Unmetered: like Valid, but without the quota in headers and body. Requests do not count.
	Unmetered
	// Revoked: 401 in the form of the API's errors.
	Revoked
	// RevokedQuotingEmail: like Revoked, with the user's e-mail address in the message, as documented for basic auth.
	RevokedQuotingEmail
	// RevokedOAuth: 401 with an OAuth 2.0 error as its body and a Bearer challenge (RFC 6750, section 3).
	RevokedOAuth
	// RevokedBare: 401 with a Bearer challenge, and neither a body nor the quota. Requests do not count.
	RevokedBare
	// RevokedOnce: like Revoked for one request; then the behavior becomes Valid.
	RevokedOnce
	// Rejected: 403 "AccessToken invalid".
	Rejected
	// Locked: 403 "No API Access", for an unpaid balance.
	Locked
	// Disabled: 403 "API Access is disabled", for a violation of the API's terms.
	Disabled
	// Forbidden: 403 for another reason.
	Forbidden
	// DailyLimit: 420, whatever the account has used.
	DailyLimit
	// SlowDown: 429 with Retry-After.
	SlowDown
	// SlowDownUntimed: 429 without Retry-After.
	SlowDownUntimed
	// ServerError: 503 with a JSON body.
	ServerError
	// Maintenance: 503 with an HTML page.
	Maintenance
	// ProxyPage: 403 with an HTML page, like that of a proxy or firewall.
	ProxyPage
	// Redirect: 302 to a login page.
	Redirect
	// Hang: no response; the request ends when the client closes the connection.
	Hang
	// Drop: the connection is closed without a response.
	Drop
)

// NumBehaviors is the number of behaviors.
const NumBehaviors = int(Drop) + 1

var behaviorNames = [NumBehaviors]string{
	Valid:               "valid",
	Slow:                "slow",
	Unmetered:           "unmetered",
	Revoked:             "revoked",
	RevokedQuotingEmail: "revoked_quoting_email",
	RevokedOAuth:        "revoked_oauth",
	RevokedBare:         "revoked_bare",
	RevokedOnce:         "revoked_once",
	Rejected:            "rejected",
	Locked:              "locked",
	Disabled:            "disabled",
	Forbidden:           "forbidden",
	DailyLimit:          "daily_limit",
	SlowDown:            "slow_down",
	SlowDownUntimed:     "slow_down_untimed",
	ServerError:         "server_error",
	Maintenance:         "maintenance",
	ProxyPage:           "proxy_page",
	Redirect:            "redirect",
	Hang:                "hang",
	Drop:                "drop",
}

// Behaviors lists every behavior.
func Behaviors() []Behavior {
	all := make([]Behavior, NumBehaviors)
	for i := range all {
		all[i] = Behavior(i)
	}
	return all
}

// String returns the behavior's name.
func (b Behavior) String() string {
	if int(b) < NumBehaviors {
		return behaviorNames[b]
	}
	return fmt.Sprintf("behavior %d", uint8(b))
}

// admits reports whether the token has access to the API while its account has requests left.
func (b Behavior) admits() bool { return b == Valid || b == Slow || b == Unmetered }

// metered reports whether requests count, and the response has the quota.
func (b Behavior) metered() bool {
	switch b {
	case Unmetered, RevokedBare, Maintenance, ProxyPage, Redirect:
		return false
	default:
		return true
	}
}

// answer is a response without the headers that vary.
type answer struct {
	status      int
	contentType string // empty without a body
	body        []byte
	challenge   string // WWW-Authenticate; empty for none
}

const (
	jsonType = "application/json; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

// statusDailyLimit is a status of the API that net/http does not name.
const statusDailyLimit = 420

// answers holds the responses to tokens without access. [API.deny] makes those that are missing here.
var answers = [NumBehaviors]answer{
	Revoked: failure(http.StatusUnauthorized, "Could not authenticate", ""),
	RevokedOAuth: {
		status: http.StatusUnauthorized, contentType: jsonType,
		body:      []byte(`{"error":"invalid_token","error_description":"The access token was revoked."}`),
		challenge: `Bearer realm="appfigures", error="invalid_token", error_description="The access token was revoked."`,
	},
	RevokedBare: {
		status: http.StatusUnauthorized, challenge: `Bearer realm="appfigures", error="invalid_token"`,
	},
	Rejected: failure(http.StatusForbidden, "AccessToken invalid", ""),
	Locked: failure(http.StatusForbidden, "No API Access",
		"The authenticated account is locked due to an unpaid balance."),
	Disabled: failure(http.StatusForbidden, "API Access is disabled",
		"API access has been disabled for this user due to API terms violation."),
	Forbidden: failure(http.StatusForbidden, "Forbidden",
		"The client that issued this token lacks the scope account:read."),
	SlowDown:        failure(http.StatusTooManyRequests, "Too Many Requests", ""),
	SlowDownUntimed: failure(http.StatusTooManyRequests, "Too Many Requests", ""),
	ServerError:     failure(http.StatusServiceUnavailable, "Service Unavailable", "Please try again later."),
	Maintenance:     page(http.StatusServiceUnavailable, "Down for maintenance", "We will be back soon."),
	ProxyPage:       page(http.StatusForbidden, "Access denied", "This network does not allow this address."),
	Redirect:        page(http.StatusFound, "Moved", "Please log in."),
}

var (
	unknownToken = answers[Revoked]
	notFound     = failure(http.StatusNotFound, "Not Found", "")
	wrongMethod  = failure(http.StatusMethodNotAllowed, "Method Not Allowed", "")
)

// failure returns an error in the form of the API. The status is a number, unlike in a success.
func failure(status int, message, additional string) answer {
	body := fmt.Appendf(nil, `{"status":%d,"message":%q,"additional":%q,"reference":""}`, status, message, additional)
	return answer{status: status, contentType: jsonType, body: body}
}

// page returns an HTML page, which the API itself never sends.
func page(status int, title, text string) answer {
	const html = "<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%[1]s</h1><p>%s</p></body></html>\n"
	return answer{status: status, contentType: htmlType, body: fmt.Appendf(nil, html, title, text)}
}
