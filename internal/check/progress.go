package check

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// progressDelay keeps the line from flashing up when the answers come at once.
	progressDelay = 300 * time.Millisecond
	progressPace  = 100 * time.Millisecond // between two frames of the spinner
	eraseLine     = "\r\x1b[K"             // carriage return, Erase in Line (ECMA-48, section 8.3.41)
)

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// showProgress writes to a terminal that tokens are being asked about, on one line that it keeps current and that
// never wraps. hide ends that and erases the line; it returns when nothing more will be written.
func showProgress(screen Screen, tokens int) (hide func()) {
	done := make(chan struct{})
	var line sync.WaitGroup
	line.Go(func() { drawProgress(screen, tokens, done) })
	return func() {
		close(done)
		line.Wait()
	}
}

// drawProgress draws the line from progressDelay on until done.
func drawProgress(screen Screen, tokens int, done <-chan struct{}) {
	start := time.Now()
	next := time.NewTimer(progressDelay)
	defer next.Stop()
	for frame := 0; ; frame++ {
		select {
		case <-done:
			if frame > 0 {
				_, _ = io.WriteString(screen, eraseLine)
			}
			return
		case <-next.C:
		}
		line := string(spinner[frame%len(spinner)]) + " " + progressText(tokens, time.Since(start))
		_, _ = io.WriteString(screen, eraseLine+cut(line, screen.lineWidth()))
		next.Reset(progressPace)
	}
}

// lineWidth returns how many columns a line may take on a terminal without wrapping.
func (s Screen) lineWidth() int {
	if s.Width <= 0 {
		return standardWidth - 1
	}
	return max(1, s.Width-1)
}

// progressText says what is going on, and after the first second for how long.
func progressText(tokens int, elapsed time.Duration) string {
	text := fmt.Sprintf("Asking the API about %d tokens …", tokens)
	if tokens == 1 {
		text = "Asking the API about 1 token …"
	}
	if elapsed >= time.Second {
		text += fmt.Sprintf(" %d s", elapsed/time.Second)
	}
	return text
}
