package process

import (
	"strings"
	"sync"
)

// tailLines is how many of a program's last lines a failed test shows.
const tailLines = 100

// log collects what a program prints.
type log struct {
	mu  sync.Mutex
	all strings.Builder // guarded by mu
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func (l *log) tail() string {
	lines := strings.SplitAfter(l.text(), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines-1):], "")
}
