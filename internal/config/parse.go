package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// The defaults of the optional keys; config.yml.example gives the reasons.
const (
	defaultAPIURL         = "https://api.appfigures.com/v2/"
	defaultTimeout        = 10 * time.Second
	defaultMaxConcurrency = 50
	defaultQuotaShare     = 0.25
	// defaultAssumedDailyLimit is the limit that the vendor's documentation gives.
	defaultAssumedDailyLimit = 1000
	defaultReserve           = 0.05
	defaultAccount           = "default"
)

// maxMaxConcurrency bounds max_concurrency: each probe under way takes a file descriptor.
const maxMaxConcurrency = 100_000

// Parse reads a configuration from r. In errors and warnings it is called name; relative paths in it start at dir.
//
// The error holds every problem found (up to 20), sorted by line, each a line of its own:
//
//	config.yml:12: tokens[1].timeout: what is wrong; what would be right
//
// Neither it nor a warning quotes anything that r holds but known keys and, in warnings, names of tokens.
func Parse(name string, r io.Reader, dir string) (*Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if inFile, ok := errors.AsType[*fs.PathError](err); ok {
		err = inFile.Err // name says which file
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var found problems
	root, wrong := readDocument(data)
	if wrong != nil {
		found = append(found, *wrong)
		return nil, found.err(name)
	}
	d := newBuilder(dir)
	d.read(value{node: root, problems: &found})
	if len(found) > 0 {
		return nil, found.err(name)
	}
	d.Warnings = d.warnings(name)
	return &d.Config, nil
}

// builder is a configuration that is being read.
type builder struct {
	Config
	dir       string // where relative paths start
	allowHTTP bool
	tokenDir  *value         // nil when not given
	names     map[string]int // of the tokens so far, with their lines
	exposed   findings       // tokens in files that every user can read
	skipped   findings       // files of token_dir that are no tokens
	inline    findings       // tokens in the configuration itself
}

// newBuilder returns a builder that holds the defaults.
func newBuilder(dir string) *builder {
	apiURL, _ := url.Parse(defaultAPIURL)
	return &builder{
		Config: Config{
			APIURL:         apiURL,
			Timeout:        defaultTimeout,
			MaxConcurrency: defaultMaxConcurrency,
			Pacing:         Pacing{QuotaShare: defaultQuotaShare, AssumedDailyLimit: defaultAssumedDailyLimit, Reserve: defaultReserve},
		},
		dir:   dir,
		names: make(map[string]int),
	}
}

var rootFields = []field[builder]{
	{"api_url", (*builder).readAPIURL},
	{"allow_insecure_http", func(d *builder, v value) { d.allowHTTP = v.flag() }},
	{"timeout", (*builder).readTimeout},
	{"max_concurrency", (*builder).readMaxConcurrency},
	{"pacing", func(d *builder, v value) { readMapping(&d.Pacing, v, pacingFields) }},
	{"proxy_url", (*builder).readProxyURL},
	{"tls_config", (*builder).readTLS},
	{"tokens", (*builder).readTokens},
	{"token_dir", func(d *builder, v value) { d.tokenDir = &v }},
}

var pacingFields = []field[Pacing]{
	{"quota_share", (*Pacing).readQuotaShare},
	{"assumed_daily_limit", (*Pacing).readAssumedDailyLimit},
	{"reserve", (*Pacing).readReserve},
	{"min_interval", (*Pacing).readMinInterval},
}

// read reads the whole document: each key, then what needs more than one of them.
func (d *builder) read(v value) {
	if v.node.Kind != yaml.MappingNode {
		v.line = v.node.Line
	}
	found := readMapping(d, v, rootFields)
	if at, ok := found.at["api_url"]; ok && !d.allowHTTP && !found.others && d.APIURL.Scheme == "http" && !isLoopback(d.APIURL) {
		at.report("http would send tokens in the clear; use https, or set allow_insecure_http: true")
	}
	if d.tokenDir != nil {
		d.readTokenDirs(*d.tokenDir)
	}
	if found.missing("tokens", "token_dir") {
		v.report("no tokens; list at least one under tokens, or set token_dir to a directory of token files")
	}
}

func (d *builder) readTimeout(v value) {
	timeout, ok := v.duration()
	switch {
	case ok && timeout <= 0:
		v.report("not longer than 0; write a duration such as 10s")
	case ok:
		d.Timeout = timeout
	}
}

func (d *builder) readMaxConcurrency(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxMaxConcurrency {
		v.report(fmt.Sprintf("not a whole number from 1 to %d; write one such as %d", maxMaxConcurrency, defaultMaxConcurrency))
		return
	}
	d.MaxConcurrency = n
}

func (p *Pacing) readQuotaShare(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share > 0 && share <= 1) {
		v.report("not a number above 0 and up to 1; write 0.25 for a quarter of the account's daily limit")
		return
	}
	p.QuotaShare = share
}

// maxAssumedDailyLimit bounds assumed_daily_limit, in requests per day.
const maxAssumedDailyLimit = 1_000_000_000

func (p *Pacing) readAssumedDailyLimit(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	limit, err := strconv.ParseInt(text, 10, 64)
	if err != nil || limit < 1 || limit > maxAssumedDailyLimit {
		v.report(fmt.Sprintf("not a whole number from 1 to %d; write the account's requests per day, such as %d",
			maxAssumedDailyLimit, defaultAssumedDailyLimit))
		return
	}
	p.AssumedDailyLimit = limit
}

func (p *Pacing) readReserve(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	reserve, err := strconv.ParseFloat(text, 64)
	if err != nil || !(reserve >= 0 && reserve < 1) {
		v.report("not a number from 0 and below 1; write 0.05 to leave a twentieth of the account's daily limit to your programs")
		return
	}
	p.Reserve = reserve
}

func (p *Pacing) readMinInterval(v value) {
	interval, ok := v.duration()
	switch {
	case ok && interval < 0:
		v.report("less than 0; write a duration such as 5m, or 0s for no floor")
	case ok:
		p.MinInterval = interval
	}
}

// duration returns a duration as Prometheus writes it (1m30s, 1d) or as Go does (1.5s, -1s).
func (v value) duration() (time.Duration, bool) {
	text, ok := v.text()
	if !ok {
		return 0, false
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), true
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		v.report("not a duration; write a number with its unit, such as 10s, 1m30s or 500ms")
		return 0, false
	}
	return d, true
}

// flag returns whether v is true; anything but true and false is refused.
func (v value) flag() bool {
	text, ok := v.text()
	if ok && text != "true" && text != "false" {
		v.report("neither true nor false; write one of them")
	}
	return text == "true"
}

// file returns the path of an existing file that can be read, from dir when it is relative.
func (v value) file(dir string) (path string, ok bool) {
	text, ok := v.text()
	if !ok {
		return "", false
	}
	path = inDir(dir, text)
	file, err := openRegular(path)
	if err != nil {
		v.report(err.Error())
		return "", false
	}
	_ = file.Close()
	return path, true
}

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
