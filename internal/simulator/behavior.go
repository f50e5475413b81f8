package simulator

import "fmt"

// Behavior is how the API responds to a token. The set is closed: [Behaviors] lists it.
type Behavior uint8

// The behaviors. The table below gives the response of each.
const (
	Valid          Behavior = iota // 200, or 420 once the account's requests of the day are used up
	Slow                           // like Valid, after [Options.SlowDelay]
	Revoked                        // 401 in the form of the API's errors
	Rejected                       // 403 "AccessToken invalid"
	Locked                         // 403 "No API Access", for an unpaid balance
	Forbidden                      // 403 for another reason
	QuotaExhausted                 // 420, whatever the account has used
	RateLimited                    // 429 with Retry-After
	ServerError                    // 503 with a JSON body
	ProxyPage                      // 403 with an HTML page, like that of a proxy or firewall
	Redirect                       // 302 to a login page
	Hang                           // no response; the request ends when the client closes the connection
	Drop                           // the connection is closed without a response
)

// answer is a response. [API.respond] replaces the $NAMES in it.
type answer struct {
	status int    // 0: none
	body   string // JSON or HTML
}

// root is the body of a success. Its status is a string, that of an error a number.
const root = `{"status":"200","message":"OK","see":"http://docs.appfigures.com/api","version":"2.0",` +
	`"user":{"id":$USER_ID,"name":"Owner of $ACCOUNT","email":"$EMAIL",` +
	`"avatar_url":"https://secure.gravatar.com/avatar/bc52e6a2b02abc9b7e5a1464e6441d6f?d=mm"},` +
	`"usage":{"daily_used":$USED,"daily_limit":$LIMIT},"sequence":28,"source":"100"}`

var notFound = failure(404, "Not Found", "")

// failure returns an error in the form of the API.
func failure(status int, message, additional string) answer {
	const body = `{"status":%d,"message":%q,"additional":%q,"reference":""}`
	return answer{status, fmt.Sprintf(body, status, message, additional)}
}

// page returns an HTML page, which the API itself never sends.
func page(status int, title, text string) answer {
	const html = "<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%[1]s</h1><p>%s</p></body></html>\n"
	return answer{status, fmt.Sprintf(html, title, text)}
}

// behaviors is the one table of behaviors: a new one is a row here.
var behaviors = [...]struct {
	name    string
	metered bool // whether requests count, and the response has the headers of the quota
	answer  answer
}{
	Valid:    {"valid", true, answer{200, root}},
	Slow:     {"slow", true, answer{200, root}},
	Revoked:  {"revoked", true, failure(401, "Could not authenticate", "")},
	Rejected: {"rejected", true, failure(403, "AccessToken invalid", "")},
	Locked: {"locked", true, failure(403, "No API Access",
		"The authenticated account is locked due to an unpaid balance.")},
	Forbidden: {"forbidden", true, failure(403, "Forbidden",
		"The client that issued this token lacks the scope account:read.")},
	QuotaExhausted: {"quota_exhausted", true, answer{420, `{"status":420,"message":"Chill Out!",` +
		`"additional":"used $USED of $LIMIT daily requests",` +
		`"see_also":"https://appfigures.com/support/faq#/question/420"}`}},
	RateLimited: {"rate_limited", true, failure(429, "Too Many Requests", "")},
	ServerError: {"server_error", true, failure(503, "Service Unavailable", "Please try again later.")},
	ProxyPage:   {"proxy_page", false, page(403, "Access denied", "This network does not allow this address.")},
	Redirect:    {"redirect", false, page(302, "Moved", "Please log in.")},
	Hang:        {"hang", true, answer{}},
	Drop:        {"drop", true, answer{}},
}

// Behaviors lists every behavior.
func Behaviors() []Behavior {
	all := make([]Behavior, len(behaviors))
	for i := range all {
		all[i] = Behavior(i)
	}
	return all
}

// String returns the behavior's name.
func (b Behavior) String() string { return behaviors[b].name }
