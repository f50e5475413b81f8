package appfigures

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

// token is the token of all tests: no output may contain a stretch of it.
const token = "pat_5entinel0123456789abcdef"

// answer is one case of testdata/answers.txtar.
type answer struct {
	name     string
	response string // as on the wire, but for line ends and a missing Content-Length
	outcome  string
}

// readAnswers reads the archive, in the format of golang.org/x/tools/txtar: a comment, then two files per case.
func readAnswers(t testing.TB) (answers []answer) {
	t.Helper()
	data, err := os.ReadFile("testdata/answers.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(string(data), "\n-- ")[1:]
	for pair := range slices.Chunk(files, 2) {
		name, response, _ := strings.Cut(pair[0], " --\n")
		_, outcome, _ := strings.Cut(pair[1], "outcome --\n")
		answers = append(answers, answer{name, response, strings.TrimSpace(outcome)})
	}
	return answers
}

var framing = regexp.MustCompile("(?i)content-length:|transfer-encoding:")

// wire returns the response with the line ends and, unless the case is about that, the length that HTTP wants.
func (a answer) wire() string {
	head, body, _ := strings.Cut(a.response, "\n\n")
	head = strings.TrimSpace(head)
	if strings.HasPrefix(head, "HTTP/") && !framing.MatchString(head) {
		head += fmt.Sprintf("\nContent-Length: %d", len(body))
	}
	return strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
}

// TestAnswers makes one probe of each answer in the archive and compares its outcome.
func TestAnswers(t *testing.T) {
	for _, a := range readAnswers(t) {
		t.Run(a.name, func(t *testing.T) {
			s := serve(t, answering(nil, says(a.wire())))
			outcome := probeOnce(t, NewClient(s.config("http"), "test"))
			if got := describe(outcome); got != a.outcome {
				t.Errorf("got\n%s\nwant\n%s", got, a.outcome)
			}
			checkNothingSecret(t, outcome)
		})
	}
}

// describe returns what an outcome says of the answer, one fact per line.
func describe(o probe.Outcome) string {
	text := fmt.Sprintf("result: %s\nhttp_status: %d\n", o.Result, o.HTTPStatus)
	if o.Message != "" {
		text += "message: " + o.Message + "\n"
	}
	if o.Quota.LimitOK {
		text += fmt.Sprintf("quota_limit: %d\n", o.Quota.Limit)
	}
	if o.Quota.UsedOK {
		text += fmt.Sprintf("quota_used: %d\n", o.Quota.Used)
	}
	if o.RetryAfter != 0 {
		text += "retry_after: " + o.RetryAfter.String() + "\n"
	}
	if !o.ServerTime.IsZero() {
		text += "server_time: " + o.ServerTime.Format("15:04") + "\n"
	}
	return strings.TrimSpace(text)
}

// checkNothingSecret checks that an outcome contains nothing of a token, a proxy's password, or the API's user.
func checkNothingSecret(t *testing.T, outcome probe.Outcome) {
	t.Helper()
	text := fmt.Sprintf("%+v", outcome)
	for _, secret := range []string{token[:8], token[12:20], proxyPassword, "Ada", "ada@", "Lovelace"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the outcome: %s", secret, text)
		}
	}
}
