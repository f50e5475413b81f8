package check

// palette is whether to use colours.
type palette bool

// colour is the parameter of an SGR control sequence (ECMA-48, section 8.3.117).
type colour string

const (
	faint  colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// paint returns text in the colour, if there are any.
func (p palette) paint(c colour, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
