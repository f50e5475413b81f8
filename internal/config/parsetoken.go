package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// whiteSpace may follow a token in its file: an editor's newline, or the two bytes that Windows has for it.
const whiteSpace = " \t\r\n\v\f"

// bearerToken matches what RFC 6750, section 2.1, allows as a bearer token. Of these, only one that ends in an ellipsis,
// or that is one of lookalikes, is refused.
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

const ellipsis = "..."

type pasteError struct {
	pattern *regexp.Regexp
	text    string // follows the name of a source; what is wrong; what would be right
}

// pasteErrors are mistakes of pasting; the first that matches is reported. Texts that match none, though RFC 6750 does
// not allow them, are left to the API to judge.
var pasteErrors = []pasteError{
	{regexp.MustCompile(`\x00`), "is UTF-16, or binary; save it as plain text (UTF-8)"},
	{regexp.MustCompile(`^\x{feff}`), "starts with a byte order mark; save it without one"},
	{regexp.MustCompile(`\p{Cf}`), "contains an invisible character; copy the token again, as plain text"},
	{regexp.MustCompile(`^\s`), "starts with white space; it must start with the token"},
	{regexp.MustCompile(`(?i)^(authorization: *)?bearer\s`), `starts with "Bearer"; put only the token there`},
	{regexp.MustCompile(`^(export\s+)?[A-Za-z_]\w*(\s*=\s*[^=\s]|:\s)`),
		"is an assignment, such as KEY=value; put only the value there, without quotes"},
	{regexp.MustCompile("^[\"'`“‘«]|[\"'`”’»]$"), "has quotes around it; remove them"},
	{regexp.MustCompile(`\$\{|^\$\(|^\$[A-Za-z_]\w*$|^%\w+%$|^\{\{`),
		"is a variable, which is not expanded here; put the token itself there, or name the variable under token_env"},
	{regexp.MustCompile(`(?s)^(\{.*\}|\[.*\])$`), "is JSON; put only the token there"},
	{regexp.MustCompile(`(?s)^<.*>$`), "is in angle brackets, as placeholders and HTML are; put only the token there"},
	{regexp.MustCompile(`://`), "is a URL; put only the token there"},
	{regexp.MustCompile(`^(ENC\[|\$ANSIBLE_VAULT;|vault:)`), "is encrypted, or a reference to another store, which is not resolved here; put the token itself there"},
	{regexp.MustCompile(`\.\.\.$|…|•|\*\*\*`), "is shortened or masked; copy the whole token"},
	{regexp.MustCompile(`[,;]$`), "ends in a comma or semicolon; remove it"},
	{regexp.MustCompile(`[\s\v]`), "contains white space; put one token there and nothing else"},
	{regexp.MustCompile(`[^!-~]`), "contains a character that no token has; copy the token again, as plain text"},
}

// lookalikes are mistakes of pasting that RFC 6750 allows as a bearer token. Appfigures' own start with pat_.
var lookalikes = []pasteError{
	{regexp.MustCompile(`(?i)^(pat|pat_([x-]{2,}|(your|change|replace|insert|example).*)?|null|nil|none|undefined|` +
		`true|false|to-?do|x{3,}|(change|replace)[_-]?(me|it)|placeholder|example|your[_-].*|[a-z_-]+_here)$`),
		"is a placeholder; replace it with the token"},
	{regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`),
		"is the name of a variable, or a placeholder; put the token itself there, or name the variable under token_env"},
	{regexp.MustCompile(`(?i)^pat_.*pat_`), "contains two tokens; put one there"},
	{regexp.MustCompile(`(?i)[^A-Za-z0-9]pat_`), "contains more than the token, which starts with pat_; put only that there"},
	{regexp.MustCompile(`(?i)^pat_.*[^A-Za-z0-9._~+/=:-].`), "contains a character that no token has; copy the token again, as plain text"},
	{regexp.MustCompile(`(?i)^pat_.*[^A-Za-z0-9=_~+/-]$`), "ends in a character that no token ends in; copy the token again"},
	{regexp.MustCompile(`^\.{0,2}/(run|etc|var|home|mnt|root|secrets)/`), "is a path; name the file under token_file"},
	{regexp.MustCompile(`^cGF0X`), "is base64; decode it, and put the token itself there"},
}

// exampleToken is what config.yml.example shows as a token.
const exampleToken = "pat_replace_this_by_your_token"

// parseToken returns text as a token, without the white space behind it. The error follows the name of the source in a
// sentence, and does not quote text.
func parseToken(text string) (Secret, error) {
	token := strings.TrimRight(text, whiteSpace)
	if token == "" {
		return Secret{}, errors.New("is empty; it must contain the token")
	}
	if token == exampleToken {
		return Secret{}, errors.New("is the placeholder of the example; replace it with the token")
	}
	mistakes := lookalikes
	if !bearerToken.MatchString(token) || strings.HasSuffix(token, ellipsis) {
		mistakes = slices.Concat(pasteErrors, lookalikes)
	}
	for _, mistake := range mistakes {
		if mistake.pattern.MatchString(token) {
			return Secret{}, errors.New(mistake.text)
		}
	}
	return NewSecret(token), nil
}
