package probe

import "time"

// Outcome is everything that one probe found out. It holds no name or e-mail address of a user, and no part of a token.
type Outcome struct {
	Result     Result        `json:"result"`
	HTTPStatus int           `json:"http_status"` // as on the wire; 0 without a response
	Message    string        `json:"message"`     // short, without control characters, e-mail addresses or tokens
	Sent       bool          `json:"sent"`        // whether any byte of the request was written; else it cost nothing
	Start      time.Time     `json:"start"`       // of name resolution or dialing; waiting for a slot comes before it
	Duration   time.Duration `json:"duration"`    // from Start to the last byte of the response, or to the failure
	Phases     Phases        `json:"phases"`

	// The rest is about the account or the API. Who keeps an outcome need not keep it.
	Quota      Quota         `json:"-"` // zero unless Result.Answered; unknown of a rejected token
	ServerTime time.Time     `json:"-"` // the response's Date; zero without one
	RetryAfter time.Duration `json:"-"` // at most a day; 0 unless Result is RateLimited and the API said so

	// CertificateExpiry is the earliest NotAfter in the chain that the server presented, also if it failed to verify;
	// zero if there was no TLS handshake.
	CertificateExpiry time.Time `json:"-"`
}

// Phase is a part of a probe.
type Phase uint8

// The phases of a probe, in order.
const (
	DNS        Phase = iota // resolving the host
	Connect                 // TCP, including a proxy's answer to CONNECT
	TLS                     // the TLS handshake
	Processing              // from the open connection to the first byte of the response
	Transfer                // reading the response
)

var phaseNames = [...]string{DNS: "dns", Connect: "connect", TLS: "tls", Processing: "processing", Transfer: "transfer"}

// Phases holds the duration of each phase, indexed by [Phase].
type Phases [len(phaseNames)]time.Duration

// AllPhases lists every phase.
func AllPhases() []Phase { return []Phase{DNS, Connect, TLS, Processing, Transfer} }

// String returns the value of the label "phase".
func (p Phase) String() string { return phaseNames[p] }

// Quota is an account's daily request quota as one response reported it.
type Quota struct {
	Limit   int64 // requests per UTC day
	Used    int64 // requests so far today, by all programs of the account
	LimitOK bool  // whether Limit was reported
	UsedOK  bool  // whether Used was reported
}
