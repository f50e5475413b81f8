package appfigures

// Result is how one probe ended. The set is closed: [Results] lists all of it, in the order in which the
// exposition shows it.
type Result uint8

const (
	// Valid: 200 with a JSON object that describes a user.
	Valid Result = iota
	// Rejected: 401, or 403 whose text says that the access token is invalid. The API answers so for tokens that
	// were revoked, have expired, or never existed; it does not tell these apart.
	Rejected
	// Locked: 403 "No API Access" or "API Access is disabled". The account is the problem, not the token.
	Locked
	// Forbidden: any other 403 that is not an HTML page.
	Forbidden
	// RateLimited: 420 (the account's daily limit is used up) or 429.
	RateLimited
	// ServerError: 5xx.
	ServerError
	// Unexpected: an answer that is none of the others, for example a redirect, a proxy's HTML page, a body that
	// was cut short, or 200 without a user.
	Unexpected
	// Timeout: no complete answer in time.
	Timeout
	// Unreachable: DNS, TCP, proxy or TLS failed, or the connection was reset.
	Unreachable
	// NoToken: the token's source is missing, empty or malformed; no request was made.
	NoToken
)

// NumResults is the size of the set of results.
const NumResults = int(NoToken) + 1

// resultNames are the values of the label "result". Users script against them.
var resultNames = [NumResults]string{
	Valid:       "valid",
	Rejected:    "rejected",
	Locked:      "locked",
	Forbidden:   "forbidden",
	RateLimited: "rate_limited",
	ServerError: "server_error",
	Unexpected:  "unexpected",
	Timeout:     "timeout",
	Unreachable: "unreachable",
	NoToken:     "no_token",
}

// Results lists every result.
func Results() []Result {
	all := make([]Result, NumResults)
	for i := range all {
		all[i] = Result(i)
	}
	return all
}

// String returns the value of the label "result".
func (r Result) String() string {
	if int(r) < NumResults {
		return resultNames[r]
	}
	return "invalid"
}

// Verdict is what an answer says about a token.
type Verdict uint8

const (
	// Undecided: nothing was said about the token; the last verdict stands.
	Undecided Verdict = iota
	// Works: the API accepted the token.
	Works
	// Denied: the API refused the token, or the account it belongs to.
	Denied
)

// String names the verdict for logs and pages.
func (v Verdict) String() string {
	switch v {
	case Works:
		return "valid"
	case Denied:
		return "denied"
	default:
		return "unknown"
	}
}

// Verdict returns what the result says about the token.
func (r Result) Verdict() Verdict {
	switch r {
	case Valid:
		return Works
	case Rejected, Locked, Forbidden:
		return Denied
	default:
		return Undecided
	}
}

// Answered reports whether the API itself answered, as opposed to a proxy, an overloaded front, or nobody.
func (r Result) Answered() bool {
	switch r {
	case Valid, Rejected, Locked, Forbidden, RateLimited:
		return true
	default:
		return false
	}
}
