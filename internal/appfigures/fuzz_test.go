package appfigures

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// planted is the token that servers of these tests know. What the fuzzer writes stands for it: $ for all of it, % for
// the same in capitals, ~ for its first half.
const planted = "pat_5entinel0123456789abcdef"

var plant = strings.NewReplacer("$", planted, "%", strings.ToUpper(planted), "~", planted[:len(planted)/2]).Replace

// FuzzClassify checks what must be true of every answer: whatever a server says, it decides nothing unless it arrived
// whole and says so itself, and what is kept of it is short, clean and believable.
func FuzzClassify(f *testing.F) {
	paths, err := filepath.Glob("testdata/wire/*/response.http")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n\n")
		statusLine, headers, _ := strings.Cut(head, "\n")
		status, _ := strconv.Atoi(strings.Fields(statusLine + " 0 0")[1])
		f.Add(status, headers, body, false)
		f.Add(status, headers, body, true)
	}
	f.Add(403, "", `{"message":"$ is unknown","additional":"% and ~, owner ada@example.com"}`, false)
	f.Add(200, "", `{"status":"503","user":{}}`, false)
	f.Add(200, "", `{"status":401,"user":{}}`, false)
	f.Add(200, "", `{"Status":" 0420 ","STATUS":200,"user":{}}`, false)
	f.Add(200, "", `{"status":"200","user":"ada"}`, false)
	f.Add(401, "WWW-Authenticate: Basic realm=\"x\"", `Bearer`, false)
	f.Add(403, "WWW-Authenticate: Bearer error_description=\"$ \\\"\", error=", ``, false)

	f.Fuzz(func(t *testing.T, status int, headers, body string, cut bool) {
		if status < 100 || status > 999 {
			return // the transport takes three digits
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
		a := classify(status, http.Header(header), []byte(body), bodyErr, time.Now())
		if why := undecidable(status, http.Header(header), body, cut); why != "" && a.result.Verdict() != probe.VerdictUnknown {
			t.Errorf("%s, but the result is %s", why, a.result)
		}
		stated := fields(parseObject(body), "status")
		if a.result == probe.Valid && (status != 200 || len(stated) < 2 && effective(status, stated) != 200) {
			t.Errorf("valid, although the status is %d and the body's %s", status, stated)
		}
		checkBelievable(t, a)
		checkClean(t, cleanMessage(a.message, planted))
	})
}

// undecidable returns why an answer decides nothing, as far as that is known without classifying it.
func undecidable(status int, header http.Header, body string, cut bool) string {
	object := parseObject(body)
	stated := fields(object, "status")
	switch {
	case cut:
		return "the body was cut short"
	case status == 200 && len(stated) > 1:
		return "" // the body contradicts itself
	}
	switch status = effective(status, stated); {
	case status >= 500:
		return "the status is one of the server's errors, or none at all"
	case status == 401:
		if challenge := strings.Join(header.Values("Www-Authenticate"), ", "); basicChallenge.MatchString(challenge) && object == nil {
			return "the challenge is for Basic"
		}
		return ""
	case status == 403:
		text := strings.ToLower(strings.Join(strings.Fields(body), ""))
		bearer := strings.Contains(strings.ToLower(strings.Join(header.Values("Www-Authenticate"), ",")), "bearer")
		if object == nil && !bearer && !knownPhrase.MatchString(text) {
			return "the body is no error of the API"
		}
		return ""
	case status != 200:
		return "the status is none that decides"
	case object == nil:
		return "the body is no object"
	case !hasObject(fields(object, "user")):
		return "the body has no user"
	default:
		return ""
	}
}

// basicChallenge is a header that challenges for Basic only, and knownPhrase what the API says of a token or account.
var (
	basicChallenge = regexp.MustCompile(`(?i)^basic(?: realm="[a-z]*")?$`)
	knownPhrase    = regexp.MustCompile(`^"*(accesstokeninvalid|noapiaccess|apiaccessisdisabled)`)
)

// errorStatus is a status of 4xx or 5xx in a body.
var errorStatus = regexp.MustCompile(`^0*([45][0-9]{2})$`)

// effective returns the status that counts: that in the body when HTTP says 200 and the body an error.
func effective(status int, stated []string) int {
	if status == 200 && len(stated) == 1 {
		if found := errorStatus.FindStringSubmatch(strings.TrimSpace(strings.Trim(stated[0], `"`))); found != nil {
			status, _ = strconv.Atoi(found[1])
		}
	}
	return status
}

// parseObject returns the values in a body, as JSON, and nil when it is no object.
func parseObject(body string) (object map[string]json.RawMessage) {
	if json.Unmarshal([]byte(strings.TrimPrefix(body, "\xef\xbb\xbf")), &object) != nil {
		return nil
	}
	return object
}

// fields returns the values of all keys that Go takes for name, whatever their case.
func fields(object map[string]json.RawMessage, name string) (values []string) {
	for key, value := range object {
		if strings.EqualFold(key, name) {
			values = append(values, string(value))
		}
	}
	return values
}

func hasObject(values []string) bool {
	return slices.ContainsFunc(values, func(value string) bool { return strings.HasPrefix(value, "{") })
}

// checkBelievable checks that an answer is possible and its numbers are in their ranges.
func checkBelievable(t *testing.T, a answer) {
	t.Helper()
	switch a.result {
	case probe.Timeout, probe.Unreachable, probe.NoToken:
		t.Errorf("an answer has the result %s", a.result)
	}
	q := a.quota
	if q.LimitOK && (q.Limit <= 0 || q.Limit > maxQuota) || q.UsedOK && (q.Used < 0 || q.Used > maxQuota) {
		t.Errorf("quota %+v", q)
	}
	if !a.result.Answered() && q != (probe.Quota{}) || a.result != probe.Valid && a.user != 0 {
		t.Errorf("result %s with quota %+v and user %d", a.result, q, a.user)
	}
	if a.throttle.RetryAfter < 0 || a.throttle.RetryAfter > maxRetryAfter {
		t.Errorf("the pause is %s", a.throttle.RetryAfter)
	}
	if throttled := a.throttle.Kind != probe.NotThrottled; throttled != (a.result == probe.RateLimited) && a.result != probe.Unexpected {
		t.Errorf("result %s with a throttle of kind %d", a.result, a.throttle.Kind)
	}
}

// checkClean checks that a message is one short printable line with nothing of the token and no e-mail address.
func checkClean(t *testing.T, message string) {
	t.Helper()
	if n := len([]rune(message)); n > maxMessage {
		t.Errorf("the message has %d runes: %q", n, message)
	}
	if strings.ContainsFunc(message, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("the message is not printable: %q", message)
	}
	if address := emailAddress.FindString(strings.TrimSuffix(message, "…")); address != "" {
		t.Errorf("the message holds the address %q", address)
	}
	low := strings.ToLower(message)
	for i := range len(planted) - minRevealing + 1 {
		if piece := planted[i : i+minRevealing]; strings.Contains(low, piece) {
			t.Errorf("the message holds %q of the token: %q", piece, message)
		}
	}
}

// FuzzCleanMessage checks that nothing of a token is left of a message, however it stands there.
func FuzzCleanMessage(f *testing.F) {
	for _, seed := range []string{
		"", "No API Access", "$", "%", "~", "~~", "$$", "x$x%x", "Bearer $, you said", "$@example.com", "a@$", "pat_5ent\ninel0123",
		"pAt_5eNtInEl0123", strings.Repeat("a", 3190) + "$", strings.Repeat("é", 199) + "$", "\xff$\xff", "pat_5ent\u200binel0123456789",
		"\u212a$\u0130", "<token>$<e-mail>", "read tcp 127.0.0.1:1: $",
	} {
		f.Add(seed, 0)
		f.Add(seed, 5)
	}
	f.Fuzz(func(t *testing.T, message string, split int) {
		if strings.ContainsAny(message, "$") && split > 0 && split < len(planted) { // the same in two pieces
			message = strings.ReplaceAll(message, "$", planted[:split]+" "+planted[split:])
		}
		checkClean(t, cleanMessage(plant(message), planted))
	})
}

// FuzzRetryAfter checks that no header makes a pause negative or longer than a day, and that the two forms that RFC 9110
// knows are taken at their word.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"", "0", "1", "60", "86400", "86401", "18446744073709551615", "18446744073709551616", "-1", "+1", "1.5", "1e3", "0x10", " 7 ", "seven",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Mon, 04 May 2026 12:30:00 GMT", "Mon, 04 May 2026 23:59:59 GMT",
	} {
		f.Add(seed, int64(0))
	}
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string, skew int64) {
		now := noon.Add(time.Duration(skew))
		pause, ok := parseRetryAfter(value, now)
		if pause < 0 || pause > maxRetryAfter || !ok && pause != 0 {
			t.Errorf("%q: a pause of %s, %t", value, pause, ok)
		}
		text := strings.TrimSpace(value)
		_, dateErr := http.ParseTime(text)
		seconds, secondsErr := strconv.ParseUint(text, 10, 64)
		tooMany := errors.Is(secondsErr, strconv.ErrRange)
		if ok != (dateErr == nil || secondsErr == nil) && !tooMany {
			t.Errorf("%q: taken for a pause: %t", value, ok)
		}
		if secondsErr == nil && seconds <= 86400 && pause != time.Duration(seconds)*time.Second {
			t.Errorf("%q: a pause of %s", value, pause)
		}
		left, ok := untilMidnight(value, now)
		if left < 0 || left > 24*time.Hour || ok != (left > 0) {
			t.Errorf("Date %q: %s until midnight, %t", value, left, ok)
		}
	})
}
