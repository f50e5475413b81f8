package check

import (
	"strings"
	"unicode"
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

// wide holds the characters that take two columns of a terminal: those that Unicode's EastAsianWidth.txt (version 15)
// calls wide or fullwidth. Ranges run on over characters that are not assigned, combining, or emoji that some terminals
// show in one column.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115F, 1}, // Hangul, leading consonants
		{0x231A, 0x231B, 1}, {0x2329, 0x232A, 1}, {0x23E9, 0x23F3, 1}, {0x25FD, 0x25FE, 1}, {0x2614, 0x2615, 1},
		{0x2648, 0x2653, 1}, {0x267F, 0x26FD, 1}, {0x2705, 0x2705, 1}, {0x270A, 0x270B, 1}, {0x2728, 0x2728, 1},
		{0x274C, 0x274E, 1}, {0x2753, 0x2757, 1}, {0x2795, 0x2797, 1}, {0x27B0, 0x27BF, 1}, {0x2B1B, 0x2B1C, 1},
		{0x2B50, 0x2B55, 1},
		{0x2E80, 0x303E, 1},                      // radicals, punctuation
		{0x3041, 0x4DBF, 1},                      // kana, Bopomofo, ideographs
		{0x4E00, 0xA4CF, 1},                      // ideographs, Yi
		{0xA960, 0xA97F, 1}, {0xAC00, 0xD7A3, 1}, // Hangul
		{0xF900, 0xFAFF, 1}, {0xFE10, 0xFE1F, 1}, {0xFE30, 0xFE6F, 1}, {0xFF01, 0xFF60, 1}, {0xFFE0, 0xFFE6, 1},
	},
	R32: []unicode.Range32{
		{0x16FE0, 0x1B2FF, 1}, // Tangut, Khitan, historic kana, Nushu
		{0x1F004, 0x1F004, 1}, {0x1F0CF, 0x1F0CF, 1}, {0x1F18E, 0x1F19A, 1}, {0x1F200, 0x1F64F, 1},
		{0x1F680, 0x1F6FF, 1}, {0x1F7E0, 0x1F7FF, 1}, {0x1F900, 0x1F9FF, 1}, {0x1FA70, 0x1FAFF, 1},
		{0x20000, 0x3FFFD, 1}, // ideographs
	},
}

// emojiStyle makes the character before it an emoji, which is one column wider.
const emojiStyle = '\uFE0F'

// runeWidth returns how many columns a printable character takes on a terminal; for a few symbols one too many.
func runeWidth(r rune) int {
	switch {
	case r == emojiStyle:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	default:
		return 1
	}
}

// displayWidth returns how many columns printable text takes on a terminal.
func displayWidth(text string) int {
	width := 0
	for _, r := range text {
		width += runeWidth(r)
	}
	return width
}

// fitting returns how many bytes of text, in whole characters, take at most width columns.
func fitting(text string, width int) int {
	for i, r := range text {
		if width -= runeWidth(r); width < 0 {
			return i
		}
	}
	return len(text)
}

// cut shortens text to width columns, with an ellipsis at the end.
func cut(text string, width int) string {
	if displayWidth(text) <= width {
		return text
	}
	return text[:fitting(text, width-1)] + "…"
}

// wrap breaks text into lines of at most width columns (at least 2): between words, and within those that no line can
// hold, such as a sentence of a language that writes no spaces.
func wrap(text string, width int) []string {
	var lines []string
	line, left := "", width
	end := func() {
		lines = append(lines, line)
		line, left = "", width
	}
	for word := range strings.FieldsSeq(text) {
		length := displayWidth(word)
		if line != "" && length+1 > left && (length <= width || left < len(" ")+2) {
			end()
		}
		if line != "" {
			word = " " + word
		}
		for displayWidth(word) > left {
			n := fitting(word, left)
			line += word[:n]
			word = word[n:]
			end()
		}
		line += word
		left -= displayWidth(word)
	}
	if line != "" {
		end()
	}
	return lines
}
