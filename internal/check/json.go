package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf16"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

// writeJSON writes the report as one JSON document that ends in a newline. If quiet, it leaves out the valid tokens.
func writeJSON(out *bytes.Buffer, report status.Report, quiet bool) {
	if quiet {
		report.Tokens = slices.DeleteFunc(report.Tokens, func(t status.Token) bool {
			return parseState(t.State) == status.Valid
		})
	}
	var document bytes.Buffer
	encoder := json.NewEncoder(&document)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(report); err != nil { // impossible: strings, finite numbers, booleans and times
		panic(err)
	}
	// Characters that control a terminal, or are invisible, become \u escapes, which mean the same. The encoder does
	// that below U+0020 only.
	for _, r := range document.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(out, `\u%04x`, r)
		}
	}
}
