package check

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// printable makes one line of text that steers no terminal: white space becomes spaces, invisible format characters
// (among them those that reverse the direction of writing) go, and what else cannot be printed becomes U+FFFD.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// sentences returns what is known about a token that its state does not tell. It is empty if there is nothing.
func sentences(t status.Token) string {
	var all []string
	if t.State != status.Valid {
		all = append(all, t.Why)
	}
	if t.Message != nil {
		all = append(all, "“"+*t.Message+"”")
	}
	return strings.Join(append(all, t.Notes...), " ")
}

// accountText describes an account in one line.
func accountText(a status.Account) string {
	text := fmt.Sprintf("%s: probes have used %s today (UTC)", a.Name, a.Budget.Usage())
	if usage := a.Quota.Usage(); usage != "" {
		text += ", all programs " + usage
	}
	if a.Held == nil {
		text += "; each token is probed " + a.Pace()
	}
	return strings.TrimSpace(text + ". " + strings.Join(a.Notes, " "))
}
