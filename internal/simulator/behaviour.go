package simulator

import (
	"fmt"
	"net/http"
)

// Behaviour is how the API treats a token. The set is closed: [Behaviours] lists all of it.
type Behaviour uint8

const (
	// Valid: 200, until the account's requests of the day are used up; then 420.
	Valid Behaviour = iota
	// Slow: as Valid, after [Options.SlowDelay].
	Slow
	// Unmetered: as Valid, but neither headers nor body say anything of the quota, and no request counts.
	Unmetered
	// Revoked: 401.
	Revoked
	// RevokedQuotingEmail: 401 as the vendor documents it, with the user's e-mail address in the message.
	RevokedQuotingEmail
	// Rejected: 403 "AccessToken invalid".
	Rejected
	// Locked: 403 "No API Access", for an unpaid balance.
	Locked
	// Disabled: 403 "API Access is disabled", for a breach of the API's terms.
	Disabled
	// Forbidden: 403 for another reason.
	Forbidden
	// DailyLimit: 420, as if the account's requests of the day were used up.
	DailyLimit
	// SlowDown: 429 with Retry-After.
	SlowDown
	// SlowDownUntimed: 429 without Retry-After.
	SlowDownUntimed
	// ServerError: 503 with a JSON body.
	ServerError
	// Maintenance: 503 with an HTML page.
	Maintenance
	// ProxyPage: 403 with an HTML page, as a proxy or firewall on the way answers.
	ProxyPage
	// Redirect: 302 to a page for people.
	Redirect
	// Hang: no answer; the request ends when the client leaves.
	Hang
	// Drop: the connection is closed without an answer.
	Drop
)

// NumBehaviours is the size of the set of behaviours.
const NumBehaviours = int(Drop) + 1

var behaviourNames = [NumBehaviours]string{
	Valid:               "valid",
	Slow:                "slow",
	Unmetered:           "unmetered",
	Revoked:             "revoked",
	RevokedQuotingEmail: "revoked_quoting_email",
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

// Behaviours lists every behaviour.
func Behaviours() []Behaviour {
	all := make([]Behaviour, NumBehaviours)
	for i := range all {
		all[i] = Behaviour(i)
	}
	return all
}

// String names the behaviour.
func (b Behaviour) String() string {
	if int(b) < NumBehaviours {
		return behaviourNames[b]
	}
	return fmt.Sprintf("behaviour %d", uint8(b))
}

// admits reports whether the token may use the API while its account has requests left.
func (b Behaviour) admits() bool { return b == Valid || b == Slow || b == Unmetered }

// metered reports whether a request reaches the API, counts against the account, and is answered with its quota.
func (b Behaviour) metered() bool {
	switch b {
	case Unmetered, Maintenance, ProxyPage, Redirect:
		return false
	default:
		return true
	}
}

// answer is a response that is the same each time.
type answer struct {
	status      int
	contentType string
	body        []byte
}

const (
	jsonType = "application/json; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

// statusDailyLimit is the vendor's own; net/http has no name for it.
const statusDailyLimit = 420

// answers holds what tokens get that are not admitted. Those without an entry are answered in [API.deny].
var answers = [NumBehaviours]answer{
	Revoked:  failure(http.StatusUnauthorized, "Could not authenticate", ""),
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

// failure is an error as the API words all of its own: the status is a number here, unlike in a success.
func failure(status int, message, additional string) answer {
	body := fmt.Appendf(nil, `{"status":%d,"message":%q,"additional":%q,"reference":""}`, status, message, additional)
	return answer{status, jsonType, body}
}

// page is an answer that was made for people, and not by the API.
func page(status int, title, text string) answer {
	body := fmt.Appendf(nil, "<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%[1]s</h1><p>%s</p></body></html>\n",
		title, text)
	return answer{status, htmlType, body}
}
