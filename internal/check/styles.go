package check

// styles is whether to use colors.
type styles bool

// style is the parameter of an SGR control sequence (ECMA-48, section 8.3.117).
type style string

const (
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// apply returns text in the style, if there are any.
func (s styles) apply(st style, text string) string {
	if !s {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}
