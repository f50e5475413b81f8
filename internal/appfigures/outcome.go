package appfigures

import "time"

// Outcome is what one probe found. It is a value: it holds no name or e-mail address of a user, and no token.
type Outcome struct {
	Result     Result
	HTTPStatus int           // as on the wire; 0 without a response
	Message    string        // what the API or the network said, cleaned: one line, at most [maxMessage] runes, no token
	Sent       bool          // whether the request was written; false when not even a connection came about
	Start      time.Time     // when the probe began
	Duration   time.Duration // of the whole probe
	Phases     Phases
	Quota      Quota
	Throttle   Throttle

	// CertificateExpiry is the earliest NotAfter among the certificates that the server presented in this probe's
	// TLS handshake, also when they failed to verify; zero when the probe made none.
	CertificateExpiry time.Time
}

// Phase is a part of a probe.
type Phase uint8

// The phases of a probe, in the order in which they happen. DNS, Connect and TLS are zero when the probe used a
// connection that an earlier probe of the same scrape had opened.
const (
	DNS        Phase = iota // resolving the host
	Connect                 // TCP, including a proxy's answer to CONNECT
	TLS                     // the TLS handshake
	Processing              // from the request's last byte to the response's first
	Transfer                // reading the response
)

// NumPhases is the size of the set of phases.
const NumPhases = int(Transfer) + 1

var phaseNames = [NumPhases]string{DNS: "dns", Connect: "connect", TLS: "tls", Processing: "processing", Transfer: "transfer"}

// Phases holds how long each phase took, indexed by [Phase].
type Phases [NumPhases]time.Duration

// AllPhases lists every phase.
func AllPhases() []Phase { return []Phase{DNS, Connect, TLS, Processing, Transfer} }

// String returns the value of the label "phase".
func (p Phase) String() string { return phaseNames[p] }

// Quota is the account's daily request quota as one response reported it.
type Quota struct {
	Limit   int64 // requests a UTC day
	Used    int64 // requests so far today, by all programs of the account
	LimitOK bool  // whether Limit was reported
	UsedOK  bool  // whether Used was reported
}

// ThrottleKind is how the API asked for fewer requests.
type ThrottleKind uint8

const (
	NotThrottled ThrottleKind = iota
	// DailyLimit: status 420; the account's requests of this UTC day are used up.
	DailyLimit
	// SlowDown: status 429.
	SlowDown
)

// Throttle is the API's demand for fewer requests.
type Throttle struct {
	Kind         ThrottleKind
	RetryAfter   time.Duration // from Retry-After, or to the end of the API's day; at most a day
	RetryAfterOK bool          // whether the answer said how long
}
