package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/appfigures-exporter/appfigures_exporter/internal/status"
)

var update = flag.Bool("update", false, "rewrite testdata/page.html")

// TestPage compares the page of the documentation's example of a report, and of a valid token with a strange name, with
// testdata/page.html. TestEndpoints checks filters and what stands around the tables.
func TestPage(t *testing.T) {
	var report status.Report
	text, err := os.ReadFile("../status/testdata/report.json")
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil {
		t.Fatal(err)
	}
	valid := report.Tokens[0]
	valid.Name, valid.Account, valid.State, valid.Advice = "a <b> c", "new york", status.Valid, nil
	valid.StateSinceAtLeast = true
	report.Tokens = append(report.Tokens, valid)
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, newView(report, testOptions(newScraper()), filter{})); err != nil {
		t.Fatal(err)
	}
	got := strings.Replace(page.String(), "<style>"+pageCSS+"</style>", `<link rel="stylesheet" href="../page.css">`, 1)
	const path = "testdata/page.html"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || got != string(want) {
		t.Errorf("differs from %s (-update rewrites it, %v):\n%s", path, err, got)
	}
	for _, found := range regexp.MustCompile(`<(table|thead|tbody|tr|td|th)[ >][^>]*`).FindAllString(got, -1) {
		if !strings.Contains(found, ` role="`) { // without which browsers hide from screen readers what CSS makes a block
			t.Errorf("%s has no role", found)
		}
	}
}

// TestRunbooks checks that the anchors exist.
func TestRunbooks(t *testing.T) {
	text, err := os.ReadFile("../../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for cause, anchor := range runbooks {
		if !strings.Contains(strings.ToLower(string(text)), "\n## "+anchor+"\n") {
			t.Errorf("%s: no runbook %s", cause, anchor)
		}
	}
}
