package appfigures

import (
	"regexp"
	"strings"
	"unicode"
)

const (
	maxMessage   = 200 // runes
	minRevealing = 8   // characters of a token in a row that are too many to show
)

// emailAddress is deliberately wide: an answer may name the user, and nobody needs to read that in a log.
var emailAddress = regexp.MustCompile(`[^\s@<>"'(),;:]+@[^\s@<>"'(),;:]+`)

// cleanMessage makes one short printable line of what a server or an error said: no control characters, no e-mail
// addresses, and none of the token, which an API may echo.
//
// What is recognized of the token is each stretch of at least minRevealing characters that follow one another in the
// token, in upper or lower case. A token that is shorter is recognized as a whole. Not recognized are shorter
// stretches, also where white space or other characters part the token into such, and the token in another encoding:
// base64, hexadecimal, percent-encoded, reversed.
func cleanMessage(message, token string) string {
	// Far more than is kept, so that what is cut here is not what the later steps would have had to see.
	if len(message) > 16*maxMessage {
		message = message[:16*maxMessage]
	}
	message = strings.ToValidUTF8(message, "�")
	message = strings.Join(strings.FieldsFunc(message, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	message = redactToken(message, token)
	message = emailAddress.ReplaceAllLiteralString(message, "<e-mail>")
	if runes := []rune(message); len(runes) > maxMessage {
		message = string(runes[:maxMessage-1]) + "…"
	}
	return message
}

// redactToken replaces every stretch of message that stands in token, in any case, and is long enough to reveal some
// of it.
func redactToken(message, token string) string {
	lowMessage, lowToken := asciiLower(message), asciiLower(token)
	window := min(minRevealing, len(lowToken))
	if window == 0 {
		return message
	}
	var out strings.Builder
	for i := 0; i < len(message); {
		length := window
		for i+length <= len(message) && strings.Contains(lowToken, lowMessage[i:i+length]) {
			length++
		}
		if length == window {
			out.WriteByte(message[i])
			i++
			continue
		}
		out.WriteString("<token>")
		i += length - 1
	}
	return out.String()
}

// asciiLower lowers A to Z and, unlike [strings.ToLower], keeps the length in bytes.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
