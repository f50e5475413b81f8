package appfigures

import (
	"net/http"
	"regexp"
	"strings"
)

// challenges is what a response's WWW-Authenticate headers ask for (RFC 9110, section 11.6.1).
type challenges struct {
	bearer      bool   // whether there is a challenge for the scheme Bearer (RFC 6750, section 3)
	code        string // its error
	description string // its error_description
	foreign     string // the first other scheme; empty if there is none
}

var (
	// listItem is an item of a list: a comma separates two, but for one in a quoted string.
	listItem = regexp.MustCompile(`(?:[^,"]|"(?:[^"\\]|\\.)*"?)+`)
	// challengePart is an item of a challenge: a scheme, and then or instead a parameter. What comes after a scheme can
	// also be credentials of another kind (token68), which are ignored.
	challengePart = regexp.MustCompile(`^\s*(?:([^\s=",]+)(?:\s+|$))?(?:([^\s=",]+)\s*=\s*(.*?)|[^\s=",]*)\s*$`)
	unquote       = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `"`, "")
)

// parseChallenges reads all WWW-Authenticate headers. It ignores what is malformed.
func parseChallenges(header http.Header) (all challenges) {
	for _, value := range header.Values("Www-Authenticate") {
		bearer := false // whether the current challenge is for Bearer
		for _, item := range listItem.FindAllString(value, -1) {
			part := challengePart.FindStringSubmatch(item)
			if part == nil {
				continue
			}
			scheme, name, argument := part[1], strings.ToLower(part[2]), unquote.Replace(part[3])
			if scheme != "" {
				bearer = strings.EqualFold(scheme, "Bearer")
				all.bearer = all.bearer || bearer
			}
			if !bearer && all.foreign == "" {
				all.foreign = scheme
			}
			switch {
			case bearer && name == "error":
				all.code = argument
			case bearer && name == "error_description":
				all.description = argument
			}
		}
	}
	return all
}
