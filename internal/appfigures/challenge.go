package appfigures

import (
	"net/http"
	"strings"
)

// challenges is what a response's WWW-Authenticate headers ask for (RFC 9110, section 11.6.1).
type challenges struct {
	bearer      bool   // whether there is a challenge for the scheme Bearer (RFC 6750, section 3)
	code        string // its error
	description string // its error_description
	foreign     string // the first other scheme; empty if there is none
}

// parseChallenges reads all WWW-Authenticate headers. It skips what is malformed.
func parseChallenges(header http.Header) (all challenges) {
	for _, value := range header.Values("Www-Authenticate") {
		all.read(value)
	}
	return all
}

// read reads one header's challenges: a list of schemes, each followed by a token68 or by a list of parameters.
func (c *challenges) read(value string) {
	bearer := false // whether the current challenge is for Bearer
	for value != "" {
		var name string
		name, value = cutRun(strings.TrimLeft(value, " \t,"), tokenMarks)
		rest := strings.TrimLeft(value, " \t")
		switch {
		case name == "": // malformed
			_, value, _ = strings.Cut(value, ",")
		case strings.HasPrefix(rest, "="):
			var param string
			param, value = cutValue(strings.TrimLeft(rest[1:], " \t"))
			switch {
			case bearer && strings.EqualFold(name, "error"):
				c.code = param
			case bearer && strings.EqualFold(name, "error_description"):
				c.description = param
			}
		default:
			bearer = strings.EqualFold(name, "Bearer")
			c.bearer = c.bearer || bearer
			if !bearer && c.foreign == "" {
				c.foreign = name
			}
			value = skipToken68(rest)
		}
	}
}

// Marks that beside letters and digits are in a token (RFC 9110, section 5.6.2) and in a token68 (section 11.2).
const (
	tokenMarks   = "!#$%&'*+-.^_`|~"
	token68Marks = "-._~+/"
)

// cutRun cuts letters, digits and marks off the front of s.
func cutRun(s, marks string) (run, rest string) {
	end := 0
	for end < len(s) {
		c := s[end]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && strings.IndexByte(marks, c) < 0 {
			break
		}
		end++
	}
	return s[:end], s[end:]
}

// cutValue cuts a parameter's value, a token or a quoted string, off the front of s.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		return cutRun(s, tokenMarks)
	}
	var unquoted strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == '"' {
			return unquoted.String(), s[i+1:]
		}
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		unquoted.WriteByte(s[i])
	}
	return unquoted.String(), "" // the closing quote is missing
}

// skipToken68 skips the token68 that may follow a scheme. Unlike a parameter's name, it ends at a comma or with s.
func skipToken68(s string) string {
	_, rest := cutRun(s, token68Marks)
	rest = strings.TrimLeft(rest, "=")
	if strings.HasPrefix(strings.TrimLeft(rest, " \t")+",", ",") {
		return rest
	}
	return s
}
