package appfigures

import (
	"net/http"
	"testing"
	"time"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"120", 2 * time.Minute, true},
		{" 120 ", 2 * time.Minute, true},
		{"0", 0, true},
		{"86401", maxRetryAfter, true},
		{"99999999999999999999999", maxRetryAfter, true},
		{now.Add(time.Hour).Format(http.TimeFormat), time.Hour, true},
		{now.Add(-time.Hour).Format(http.TimeFormat), 0, true},
		{now.Add(100 * 365 * 24 * time.Hour).Format(http.TimeFormat), maxRetryAfter, true},
		{"", 0, false},
		{"-5", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
	} {
		if got, ok := parseRetryAfter(test.header, now); got != test.want || ok != test.ok {
			t.Errorf("%q: %s, %v, want %s, %v", test.header, got, ok, test.want, test.ok)
		}
	}
}

func TestUntilMidnight(t *testing.T) {
	ours := time.Date(2026, 11, 24, 0, 0, 1, 0, time.UTC)
	for _, test := range []struct {
		name string
		date string
		want time.Duration
		ok   bool
	}{
		{"ours is ahead", ours.Add(-5 * time.Second).Format(http.TimeFormat), 4 * time.Second, true},
		{"the same", ours.Format(http.TimeFormat), 24*time.Hour - time.Second, true},
		{"hours off", ours.Add(-3 * time.Hour).Format(http.TimeFormat), 0, false},
		{"none", "", 0, false},
	} {
		if got, ok := untilMidnight(test.date, ours); got != test.want || ok != test.ok {
			t.Errorf("%s: %s, %v, want %s, %v", test.name, got, ok, test.want, test.ok)
		}
	}
}
