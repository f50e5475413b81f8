package probe

import "time"

// Outcome is everything that one probe found out. It is a value; it holds no name or e-mail address of a user and no
// part of a token.
type Outcome struct {
	Result     Result
	HTTPStatus int           // as on the wire; 0 without a response
	Message    string        // the API's or the network's, cleaned: one short line without e-mail addresses or tokens
	Sent       bool          // whether the request was written; if not, it cost nothing
	Start      time.Time     // when the request's exchange began; waiting for a slot or a connection comes before it
	Duration   time.Duration // from Start to the last byte of the response, or to the failure
	Phases     Phases
	Quota      Quota // zero unless Result.Answered
	Throttle   Throttle

	// User identifies the API's user within this process: a keyed hash of user.id, 0 if the response has none.
	User uint64
	// ServerTime is the response's Date header; zero without one.
	ServerTime time.Time
	// CertificateExpiry is the earliest NotAfter in the chain that the server presented in this probe's TLS
	// handshake, also if it failed to verify; zero if the probe made no handshake.
	CertificateExpiry time.Time
}

// Phase is a part of a probe.
type Phase uint8

// The phases of a probe, in order. DNS, Connect and TLS are zero for a probe that reused a connection.
const (
	DNS        Phase = iota // resolving the host
	Connect                 // TCP, including a proxy's answer to CONNECT
	TLS                     // the TLS handshake
	Processing              // from the last byte of the request to the first of the response
	Transfer                // reading the response
)

var phaseNames = [...]string{DNS: "dns", Connect: "connect", TLS: "tls", Processing: "processing", Transfer: "transfer"}

// NumPhases is the number of phases.
const NumPhases = len(phaseNames)

// Phases holds the duration of each phase, indexed by [Phase].
type Phases [NumPhases]time.Duration

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

// ThrottleKind is how the API asked for fewer requests.
type ThrottleKind uint8

const (
	NotThrottled ThrottleKind = iota
	DailyLimit                // status 420: the account's requests of this UTC day are used up
	SlowDown                  // status 429
)

// Throttle is the API's demand for fewer requests.
type Throttle struct {
	Kind         ThrottleKind
	RetryAfter   time.Duration // from Retry-After, or to the end of the API's UTC day; at most 24 hours
	RetryAfterOK bool          // whether the response said how long
}
