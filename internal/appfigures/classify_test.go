package appfigures

import (
	"bufio"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

func TestParseChallenges(t *testing.T) {
	for _, test := range []struct {
		headers []string
		want    challenges
	}{
		{[]string{""}, challenges{}},
		{[]string{`bEARER ERROR = "invalid_token" ,error_description="say \"no\", twice",realm="a"`},
			challenges{bearer: true, code: "invalid_token", description: `say "no", twice`}},
		{[]string{`Basic realm="Bearer, error=invalid_token", error_description=b`}, challenges{foreign: "Basic"}},
		{[]string{`Bearer error="a", Basic error="b"`}, challenges{bearer: true, code: "a", foreign: "Basic"}},
		{[]string{"Negotiate YIIJvw+/g==, Bearer"}, challenges{bearer: true, foreign: "Negotiate"}},
		{[]string{", ,\tBearer ,, error=a,"}, challenges{bearer: true, code: "a"}},
		{[]string{`Bearer error="never closed, Basic`}, challenges{bearer: true, code: "never closed, Basic"}},
		{[]string{`="", "Basic", Bearer`}, challenges{bearer: true}},
		{[]string{"Bearerly"}, challenges{foreign: "Bearerly"}},
	} {
		header := http.Header{"Www-Authenticate": test.headers}
		if got := parseChallenges(header); got != test.want {
			t.Errorf("%q:\n got %+v\nwant %+v", test.headers, got, test.want)
		}
	}
}

// TestRetryAfter reads headers of a server whose clock is half an hour behind or ahead of any other.
func TestRetryAfter(t *testing.T) {
	const date = "Mon, 04 May 2026 11:30:00 GMT"
	for _, test := range []struct {
		date, header string
		want         time.Duration
	}{
		{date, " 120 ", 2 * time.Minute},
		{"", "120", 2 * time.Minute},
		{date, "86401", 24 * time.Hour},
		{date, "Mon, 04 May 2026 11:40:00 GMT", 10 * time.Minute},
		{"", "Mon, 04 May 2026 11:40:00 GMT", 0},
		{date, "Mon, 04 May 2026 11:20:00 GMT", 0},
		{date, "Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour},
		{date, "99999999999999999999999", 0},
	} {
		header := http.Header{"Date": {test.date}, "Retry-After": {test.header}}
		if got := readRetryAfter(header); got != test.want {
			t.Errorf("%q at %q: %s, want %s", test.header, test.date, got, test.want)
		}
	}
}

func TestCleanMessage(t *testing.T) {
	for message, want := range map[string]string{
		"":                                 "",
		"No API Access":                    "No API Access",
		"Bearer " + token + ", you said":   "Bearer <token>, you said",
		strings.ToUpper(token[5:20]):       "<token>",
		token[:7]:                          token[:7], // too short
		token[:8] + "\n" + token[8:]:       "<token> <token>",
		token + "@example.com":             "<token>@example.com",
		"mail ada@example.com, please":     "mail <e-mail>, please",
		"\x1b[31mred\x07\u202e \r\n\t two": "[31mred two",
		"\xff" + token + "\xff":            "�<token>�",
		strings.Repeat("é", 300):           strings.Repeat("é", 199) + "…",
	} {
		if got := cleanMessage(message, token); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
	if got := cleanMessage("abc of ABC", "abc"); got != "<token> of <token>" {
		t.Errorf("a short token is in %q", got)
	}
}

// FuzzClassify checks what must be true of every answer: it decides nothing unless it arrived whole and says so itself,
// and what is kept of it is believable. The message is one short printable line without an e-mail address or the token.
func FuzzClassify(f *testing.F) {
	for _, a := range readAnswers(f) {
		head, body, _ := strings.Cut(a.response, "\n\n")
		statusLine, headers, _ := strings.Cut(head, "\n")
		status, _ := strconv.Atoi(strings.Fields(statusLine + " 0 0")[1])
		f.Add(status, headers, body, false)
		f.Add(status, headers, body, true)
	}
	f.Fuzz(func(t *testing.T, status int, headers, body string, cut bool) {
		header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(headers + "\r\n\r\n"))).ReadMIMEHeader()
		if err != nil || status < 100 || status > 999 {
			return // net/http does not take it
		}
		var bodyErr error
		if cut {
			bodyErr = io.ErrUnexpectedEOF
		}
		o := classify(status, http.Header(header), []byte(body), bodyErr)
		decides := o.Result.Verdict() != probe.VerdictUnknown
		isObject := strings.HasPrefix(strings.TrimLeft(body, "\ufeff \t\r\n"), "{")
		if decides && (cut || status != 200 && status != 401 && status != 403 || status == 200 && !isObject) ||
			o.Result == probe.Valid && status != 200 {
			t.Errorf("status %d, cut short %t, is %s", status, cut, o.Result)
		}
		q := o.Quota
		if q.Limit < 0 || q.Used < 0 || q.LimitOK != (q.Limit > 0) || !o.Result.Answered() && q != (probe.Quota{}) {
			t.Errorf("result %s, quota %+v", o.Result, q)
		}
		if o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour || o.RetryAfter > 0 && o.Result != probe.RateLimited {
			t.Errorf("result %s, pause %s", o.Result, o.RetryAfter)
		}
		message := cleanMessage(o.Message, token)
		unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
		if len([]rune(message)) > 200 || strings.ContainsFunc(message, unprintable) ||
			emailAddress.MatchString(strings.TrimSuffix(message, "…")) {
			t.Errorf("the message is too long, not printable, or holds an address: %q", message)
		}
		for i := range len(token) - 7 {
			if strings.Contains(strings.ToLower(message), token[i:i+8]) {
				t.Errorf("the message holds %q of the token: %q", token[i:i+8], message)
			}
		}
	})
}
