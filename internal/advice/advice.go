// Package advice says in words what a probe's result means and what its reader should do. The status page and the
// check command speak with this one voice.
package advice

import "github.com/appfigures-exporter/appfigures_exporter/internal/appfigures"

// text is what there is to say of one result, each in one sentence.
type text struct{ meaning, action string }

var texts = [appfigures.NumResults]text{
	appfigures.Valid: {
		"The API accepted the token.",
		"Nothing to do.",
	},
	appfigures.Rejected: {
		"The API rejected the token: it was revoked, has expired, or never existed.",
		"Create a new token in the Appfigures account and put it in this one's place.",
	},
	appfigures.Locked: {
		"The account has no access to the API; the token itself may be fine.",
		"Ask the owner of the Appfigures account to check its bill and its API access; a new token would not help.",
	},
	appfigures.Forbidden: {
		"The API knows the token but refuses it.",
		"Read the API's message, then check what the token and its user are permitted to do.",
	},
	appfigures.RateLimited: {
		"The API asks for fewer requests and says nothing about the token.",
		"Wait until the API permits requests again; if this recurs, find the program that makes so many.",
	},
	appfigures.ServerError: {
		"The API failed and said nothing about the token.",
		"Wait; if it lasts for hours, ask Appfigures.",
	},
	appfigures.Unexpected: {
		"The answer is not one that the API gives; it says nothing about the token.",
		"Check api_url, and any proxy between here and the API.",
	},
	appfigures.Timeout: {
		"No complete answer came in time.",
		"Check the network to the API; if it is only slow, raise timeout and the scrape timeout.",
	},
	appfigures.Unreachable: {
		"No connection to the API.",
		"Check DNS, firewall, proxy and TLS trust on the way to the API.",
	},
	appfigures.NoToken: {
		"The token could not be read, so no request was made.",
		"Check that the token's file or variable exists, is readable by the exporter, and holds the token alone.",
	},
}

// Describe says what the result means, in one sentence.
func Describe(r appfigures.Result) string { return texts[r].meaning }

// For says what to do about the result, in one sentence.
func For(r appfigures.Result) string { return texts[r].action }
