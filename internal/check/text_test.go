package check

import (
	"slices"
	"testing"
)

func TestDisplayWidth(t *testing.T) {
	for text, want := range map[string]int{
		"":                0,
		"reporting":       9,
		"café":            4,
		"cafe\u0301":      4, // a combining accent
		"报告":              4,
		"レポート":            8,
		"ﾚﾎﾟｰﾄ":           5, // halfwidth
		"ｆｕｌｌ":            8, // fullwidth
		"한국어":             6,
		"😀":               2,
		"❤\uFE0F":         2,
		"✓ ✗ ! ? … →":     11,
		"\U00020000":      2,
		"отчёт":           5,
		"\u0e01\u0e33ไทย": 5,
	} {
		if got := displayWidth(text); got != want {
			t.Errorf("displayWidth(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"reporting", 9, "reporting"},
		{"reporting", 8, "reporti…"},
		{"reporting", 1, "…"},
		{"报告令牌", 8, "报告令牌"},
		{"报告令牌", 7, "报告令…"},
		{"报告令牌", 6, "报告…"}, // a wide character does not fit in the column that is left
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		if got := cut(test.text, test.width); got != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, nil},
		{"   ", 10, nil},
		{"one two three", 13, []string{"one two three"}},
		{"one two three", 12, []string{"one two", "three"}},
		{"one  two", 3, []string{"one", "two"}},
		{"abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"to abcdefghij to", 6, []string{"to abc", "defghi", "j to"}},
		{"to abcdefghij to", 4, []string{"to", "abcd", "efgh", "ij", "to"}},
		{"to abcdefg it", 4, []string{"to", "abcd", "efg", "it"}},
		{"go 报告令牌", 6, []string{"go 报", "告令牌"}},
		{"报告令牌", 5, []string{"报告", "令牌"}},
	} {
		if got := wrap(test.text, test.width); !slices.Equal(got, test.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", test.text, test.width, got, test.want)
		}
	}
}
