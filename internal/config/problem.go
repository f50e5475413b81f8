package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// position is a place in a configuration file.
type position struct {
	file string
	line int    // counted from 1; 0 if the problem is on no single line
	path string // of keys, such as tokens[1].timeout; empty for the document itself
}

// String returns the position as "config.yml:12: tokens[1].timeout".
func (p position) String() string {
	var b strings.Builder
	b.WriteString(p.file)
	if p.line > 0 {
		fmt.Fprintf(&b, ":%d", p.line)
	}
	if p.path != "" {
		b.WriteString(": " + p.path)
	}
	return b.String()
}

// problem is one mistake in a configuration, or one warning about it. The text of a mistake quotes nothing of the
// configuration but known keys.
type problem struct {
	position
	text string // what is wrong; what would be right
}

func (p problem) String() string { return p.position.String() + ": " + p.text }

// maxProblems bounds the problems reported at once, and with it the work that a hostile file can cause.
const maxProblems = 20

// problems collects the problems of one file.
type problems []problem

func (p *problems) full() bool { return len(*p) >= maxProblems }

func (p *problems) add(at position, text string) { *p = append(*p, problem{at, text}) }

// lines returns the problems sorted by line, one line each.
func (p *problems) lines() (lines []string) {
	slices.SortStableFunc(*p, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	for _, problem := range *p {
		lines = append(lines, problem.String())
	}
	return lines
}

// err returns up to maxProblems problems as one error, one line each, or nil if there are none.
func (p *problems) err() error {
	more := p.full()
	*p = (*p)[:min(len(*p), maxProblems)]
	var errs []error
	for _, line := range p.lines() {
		errs = append(errs, errors.New(line))
	}
	if more {
		errs = append(errs, fmt.Errorf("%s: there may be more; these are the first %d", (*p)[0].file, maxProblems))
	}
	return errors.Join(errs...)
}
