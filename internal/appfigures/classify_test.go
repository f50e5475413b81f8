package appfigures

import (
	"net/http"
	"testing"
	"time"

	"github.com/appfigures-exporter/appfigures_exporter/internal/probe"
)

func TestParseChallenges(t *testing.T) {
	for _, test := range []struct {
		headers []string
		want    challenges
	}{
		{nil, challenges{}},
		{[]string{""}, challenges{}},
		{[]string{"Bearer"}, challenges{bearer: true}},
		{[]string{"bEARER error=invalid_token"}, challenges{bearer: true, code: "invalid_token"}},
		{[]string{`Bearer realm="a" , ERROR = "invalid_token",error_description="say \"no\", twice"`},
			challenges{bearer: true, code: "invalid_token", description: `say "no", twice`}},
		{[]string{`Basic realm="Bearer, error=invalid_token"`}, challenges{foreign: "Basic"}},
		{[]string{`Basic realm="a", error="invalid_token"`}, challenges{foreign: "Basic"}},
		{[]string{`Basic realm="a", Bearer error="b"`}, challenges{bearer: true, code: "b", foreign: "Basic"}},
		{[]string{`Bearer error="a", Basic error="b"`}, challenges{bearer: true, code: "a", foreign: "Basic"}},
		{[]string{"Basic", "Bearer"}, challenges{bearer: true, foreign: "Basic"}},
		{[]string{"Negotiate", "NTLM"}, challenges{foreign: "Negotiate"}},
		{[]string{"Negotiate YIIJvw+/g==, Bearer"}, challenges{bearer: true, foreign: "Negotiate"}},
		{[]string{"Negotiate Bearer"}, challenges{foreign: "Negotiate"}},
		{[]string{", ,\tBearer ,, error=a,"}, challenges{bearer: true, code: "a"}},
		{[]string{`Basic realm="a" Bearer error="b"`}, challenges{bearer: true, code: "b", foreign: "Basic"}}, // no comma
		{[]string{`Bearer error="never closed, Basic`}, challenges{bearer: true, code: "never closed, Basic"}},
		{[]string{`Bearer error="closed late\`}, challenges{bearer: true, code: `closed late\`}},
		{[]string{`="", "Basic", @ Basic, Bearer`}, challenges{bearer: true}},
		{[]string{"Bearerly"}, challenges{foreign: "Bearerly"}},
	} {
		header := http.Header{"Www-Authenticate": test.headers}
		if got := parseChallenges(header); got != test.want {
			t.Errorf("%q:\n got %+v\nwant %+v", test.headers, got, test.want)
		}
	}
}

// TestUser checks that users are told apart by their id, however it is written.
func TestUser(t *testing.T) {
	hash := func(user string) uint64 {
		a := classify(http.StatusOK, nil, []byte(`{"user":`+user+`}`), nil, time.Now())
		if a.result != probe.Valid {
			t.Fatalf("%s: %s", user, a.message)
		}
		return a.user
	}
	ada := hash(`{"id":42,"name":"Ada"}`)
	if ada == 0 || ada == 42 || ada != hash(`{"name":"Charles","id":"42"}`) {
		t.Error("the hash does not identify the id")
	}
	if ada == hash(`{"id":43}`) {
		t.Error("two users have one hash")
	}
	for _, anonymous := range []string{`{}`, `{"id":null}`, `{"id":""}`, `{"id":{"a":1}}`, `{"id":[42]}`} {
		if hash(anonymous) != 0 {
			t.Errorf("%s has a hash", anonymous)
		}
	}
	denied := classify(http.StatusUnauthorized, nil, []byte(`{"user":{"id":42}}`), nil, time.Now())
	if denied.user != 0 {
		t.Error("a denial has a user")
	}
}

// TestServerTime checks that the API's clock is reported, and decides when its day ends.
func TestServerTime(t *testing.T) {
	ours := time.Date(2026, 11, 24, 0, 5, 0, 0, time.UTC)
	its := ours.Add(-10 * time.Minute)
	a := classify(statusChillOut, http.Header{"Date": {its.Format(http.TimeFormat)}}, nil, nil, ours)
	if !a.serverTime.Equal(its) {
		t.Errorf("server time %s, want %s", a.serverTime, its)
	}
	want := probe.Throttle{Kind: probe.DailyLimit, RetryAfter: 5 * time.Minute, RetryAfterOK: true}
	if a.throttle != want {
		t.Errorf("throttle %+v, want %+v", a.throttle, want)
	}
	if a := classify(http.StatusOK, http.Header{"Date": {"soon"}}, nil, nil, ours); !a.serverTime.IsZero() {
		t.Errorf("server time %s from a malformed header", a.serverTime)
	}
}
