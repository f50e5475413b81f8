package appfigures

import (
	"regexp"
	"strings"
	"unicode"
)

// maxMessage bounds a message, in runes.
const maxMessage = 200

// emailAddress is deliberately wide: an answer may name the user, and nobody needs to read that in a log.
var emailAddress = regexp.MustCompile(`[^\s@<>"'(),;:]+@[^\s@<>"'(),;:]+`)

// minRevealing is how many characters of a token in a row are too many to show.
const minRevealing = 8

// cleanMessage makes one short printable line of what a server or an error said: no control characters, no e-mail
// addresses, and nothing of the token, which an API may echo.
func cleanMessage(message, token string) string {
	if message == "" {
		return ""
	}
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
		end := i
		for length := window; i+length <= len(message) && strings.Contains(lowToken, lowMessage[i:i+length]); length++ {
			end = i + length
		}
		if end == i {
			out.WriteByte(message[i])
			i++
			continue
		}
		out.WriteString("<token>")
		i = end
	}
	return out.String()
}

// asciiLower lowers A to Z and, unlike [strings.ToLower], keeps the length in bytes.
func asciiLower(s string) string {
	lower := []byte(s)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}
