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
		{nil, challenges{}},
		{[]string{""}, challenges{}},
		{[]string{"bEARER error=invalid_token"}, challenges{bearer: true, code: "invalid_token"}},
		{[]string{`Bearer realm="a" , ERROR = "invalid_token",error_description="say \"no\", twice"`},
			challenges{bearer: true, code: "invalid_token", description: `say "no", twice`}},
		{[]string{`Basic realm="Bearer, error=invalid_token"`}, challenges{foreign: "Basic"}},
		{[]string{`Basic realm="a", error="invalid_token"`}, challenges{foreign: "Basic"}},
		{[]string{`Bearer error="a", Basic error="b"`}, challenges{bearer: true, code: "a", foreign: "Basic"}},
		{[]string{"Basic", "Bearer"}, challenges{bearer: true, foreign: "Basic"}},
		{[]string{"Negotiate", "NTLM"}, challenges{foreign: "Negotiate"}},
		{[]string{"Negotiate YIIJvw+/g==, Bearer"}, challenges{bearer: true, foreign: "Negotiate"}},
		{[]string{"Negotiate Bearer"}, challenges{foreign: "Negotiate"}},
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
		{date, "0", 0},
		{date, "86401", 24 * time.Hour},
		{date, "Mon, 04 May 2026 11:40:00 GMT", 10 * time.Minute},
		{"", "Mon, 04 May 2026 11:40:00 GMT", 0},
		{date, "Mon, 04 May 2026 11:20:00 GMT", 0},
		{date, "Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour},
		{date, "", 0},
		{date, "-5", 0},
		{date, "120.5", 0},
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
// and what is kept of it is short, clean and believable. $ stands for the token, % for it in capitals.
func FuzzClassify(f *testing.F) {
	for _, a := range readAnswers(f) {
		head, body, _ := strings.Cut(a.response, "\n\n")
		statusLine, headers, _ := strings.Cut(head, "\n")
		status, _ := strconv.Atoi(strings.Fields(statusLine + " 0 0")[1])
		f.Add(status, headers, body, false)
		f.Add(status, headers, body, true)
	}
	f.Add(403, "", `{"message":"$ is unknown","additional":"%, owner ada@example.com"}`, false)
	f.Add(403, "WWW-Authenticate: Bearer error_description=\"$ \\\"\", error=", ``, false)
	f.Add(200, "", `{"Status":" 0420 ","STATUS":200,"user":{}}`, false)

	plant := strings.NewReplacer("$", token, "%", strings.ToUpper(token)).Replace
	f.Fuzz(func(t *testing.T, status int, headers, body string, cut bool) {
		if status < 100 || status > 999 {
			return // net/http takes three digits
		}
		header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(plant(headers) + "\r\n\r\n"))).ReadMIMEHeader()
		if err != nil {
			return // nor this
		}
		body = plant(body)
		var bodyErr error
		if cut {
			bodyErr = io.ErrUnexpectedEOF
		}
		o := classify(status, http.Header(header), []byte(body), bodyErr)
		decides := o.Result.Verdict() != probe.VerdictUnknown
		isObject := strings.HasPrefix(strings.TrimLeft(body, "\ufeff \t\r\n"), "{")
		challenge := strings.ToLower(strings.Join(header.Values("Www-Authenticate"), ","))
		text := strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(body, `"`, " ")), ""))
		switch {
		case decides && cut:
			t.Errorf("an answer that was cut short is %s", o.Result)
		case decides && status != 200 && status != 401 && status != 403:
			t.Errorf("an answer of status %d is %s", status, o.Result)
		case decides && status == 200 && !isObject, o.Result == probe.Valid && status != 200:
			t.Errorf("status %d with the body %q is %s", status, body, o.Result)
		case decides && status == 403 && !isObject && !strings.Contains(challenge, "error") &&
			!strings.HasPrefix(text, "accesstokeninvalid") && !strings.HasPrefix(text, "noapiaccess") &&
			!strings.HasPrefix(text, "apiaccessisdisabled"):
			t.Errorf("a 403 that is not in the API's form is %s", o.Result)
		}
		q := o.Quota
		if q.Limit < 0 || q.Used < 0 || q.LimitOK != (q.Limit > 0) || !o.Result.Answered() && q != (probe.Quota{}) {
			t.Errorf("result %s, quota %+v", o.Result, q)
		}
		if o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour || o.RetryAfter > 0 && o.Result != probe.RateLimited {
			t.Errorf("result %s, pause %s", o.Result, o.RetryAfter)
		}
		checkClean(t, cleanMessage(o.Message, token))
	})
}

// checkClean checks that a message is one short printable line without an e-mail address or any stretch of the token.
func checkClean(t *testing.T, message string) {
	t.Helper()
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if n := len([]rune(message)); n > 200 || strings.ContainsFunc(message, unprintable) {
		t.Errorf("the message has %d characters or is not printable: %q", n, message)
	}
	if address := emailAddress.FindString(strings.TrimSuffix(message, "…")); address != "" {
		t.Errorf("the message holds the address %q", address)
	}
	low := strings.ToLower(message)
	for i := range len(token) - 7 {
		if strings.Contains(low, token[i:i+8]) {
			t.Errorf("the message holds %q of the token: %q", token[i:i+8], message)
		}
	}
}
