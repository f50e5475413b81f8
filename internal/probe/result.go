// Package probe defines the vocabulary that all other packages share: the result of a probe, the verdict that follows
// from it, and the outcome, which is everything that one probe found out. It imports no other package of this module.
package probe

import (
	"errors"
	"slices"
)

// Result is how one probe ended. The set is closed: [Results] lists it in the order of the exposition.
type Result uint8

// The results. The table below gives the name and the meaning of each.
const (
	Valid Result = iota
	Rejected
	Locked
	Forbidden
	QuotaExhausted
	RateLimited
	ServerError
	Unexpected
	Timeout
	Unreachable
	NoToken
)

// results is the one table of results: a new result is a row here and a case in the classification of answers.
var results = [...]struct {
	name     string  // value of the label "result"; users script against it
	verdict  Verdict // what the result says about the token
	answered bool    // whether the API itself answered, not a proxy, a load balancer or nobody
	meaning  string  // one sentence
	advice   string  // what to do, one sentence
}{
	Valid: {
		"valid", VerdictValid, true,
		"The API accepted the token.",
		"Nothing to do.",
	},
	Rejected: {
		"rejected", VerdictDenied, true,
		"The API rejected the token: it was revoked, has expired, or never existed.",
		"Create a new token at appfigures.com/developers/keys and replace this one with it.",
	},
	Locked: {
		"locked", VerdictDenied, true,
		"The account has no access to the API; the token itself may be fine.",
		"Ask the owner of the Appfigures account to check its billing and API access; a new token would not help.",
	},
	Forbidden: {
		"forbidden", VerdictDenied, true,
		"The API knows the token but denies it access.",
		"Read the API's message, then check the permissions of the token and its user.",
	},
	QuotaExhausted: {
		"quota_exhausted", VerdictUnknown, true,
		"The account has used up its requests of today (UTC); this says nothing about the token.",
		"Find the program that makes too many requests; the API refuses all of them until 00:00 UTC.",
	},
	RateLimited: {
		"rate_limited", VerdictUnknown, true,
		"The API asked for a pause; this says nothing about the token.",
		"Wait until the API accepts requests again; if this recurs, find the program that makes too many at once.",
	},
	ServerError: {
		"server_error", VerdictUnknown, false,
		"The API failed; this says nothing about the token.",
		"Wait; if it lasts for hours, contact Appfigures.",
	},
	Unexpected: {
		"unexpected", VerdictUnknown, false,
		"The response is not one that the API gives; it says nothing about the token.",
		"Check api_url and any proxy or firewall between the exporter and the API.",
	},
	Timeout: {
		"timeout", VerdictUnknown, false,
		"No complete response arrived in time.",
		"Check the network path to the API; if the API is only slow, raise timeout.",
	},
	Unreachable: {
		"unreachable", VerdictUnknown, false,
		"The API could not be reached, or the connection broke before an answer.",
		"Check DNS, firewall, proxy and TLS trust between the exporter and the API.",
	},
	NoToken: {
		"no_token", VerdictUnknown, false,
		"The token could not be read, so no request was made.",
		"Check that the token's file or variable exists, is readable by the exporter, and contains only the token.",
	},
}

// NumResults is the number of results.
const NumResults = len(results)

// Results lists every result.
func Results() []Result {
	all := make([]Result, NumResults)
	for i := range all {
		all[i] = Result(i)
	}
	return all
}

// Denials lists the results that deny the token.
func Denials() []Result {
	return slices.DeleteFunc(Results(), func(r Result) bool { return r.Verdict() != VerdictDenied })
}

// String returns the value of the label "result".
func (r Result) String() string { return results[r].name }

// Verdict returns what the result says about the token; VerdictUnknown if it says nothing.
func (r Result) Verdict() Verdict { return results[r].verdict }

// Answered reports whether the API itself answered.
func (r Result) Answered() bool { return results[r].answered }

// Meaning explains the result in one sentence.
func (r Result) Meaning() string { return results[r].meaning }

// Advice returns what to do about the result, in one sentence.
func (r Result) Advice() string { return results[r].advice }

// MarshalText implements [encoding.TextMarshaler].
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error is that there is no such result.
func (r *Result) UnmarshalText(text []byte) error {
	for _, result := range Results() {
		if result.String() == string(text) {
			*r = result
			return nil
		}
	}
	return errors.New("no such result")
}

// Verdict is what is known about a token: its name in JSON, logs and pages.
type Verdict string

const (
	VerdictUnknown Verdict = ""       // no answer has decided yet
	VerdictValid   Verdict = "valid"  // the API accepted the token
	VerdictDenied  Verdict = "denied" // the API denied the token or its account
)
