package monitor

import (
	"slices"
	"time"
)

// window counts the requests of the last 24 hours in short bins. A bin counts until 24 hours after its end, so that
// the count is never too small.
type window struct {
	bins  []bin // by start; none is empty
	total int64
}

type bin struct {
	start time.Time
	count int64
}

// binSize is the length of a bin: a request counts for up to this much longer than 24 hours.
const binSize = 10 * time.Minute

// advance forgets the bins that are over.
func (w *window) advance(now time.Time) {
	for len(w.bins) > 0 && !now.Before(w.bins[0].start.Add(binSize+day)) {
		w.total -= w.bins[0].count
		w.bins = w.bins[1:]
	}
}

// add adds n requests, or takes back -n, that were made at the time at.
func (w *window) add(at time.Time, n int64) {
	start := at.Truncate(binSize)
	i, found := w.find(start)
	switch {
	case found:
		w.bins[i].count += n
	case n < 0: // the bin is over, and its count with it
		return
	default:
		w.bins = slices.Insert(w.bins, i, bin{start, n})
	}
	w.total += n
	if w.bins[i].count == 0 {
		w.bins = slices.Delete(w.bins, i, i+1)
	}
}

// find returns the index of the bin that begins at start, or where it would be.
func (w *window) find(start time.Time) (i int, found bool) {
	return slices.BinarySearchFunc(w.bins, start, func(b bin, t time.Time) int { return b.start.Compare(t) })
}

// atLeast returns a window that counts in each bin as many requests as w or other, whichever has more.
func (w *window) atLeast(other window) window {
	both := window{slices.Clone(w.bins), w.total}
	for _, b := range other.bins {
		count := int64(0)
		if i, found := w.find(b.start); found {
			count = w.bins[i].count
		}
		both.add(b.start, max(0, b.count-count))
	}
	return both
}

// fallsBelow returns when the count is less than n, if nothing is added; now if it is. It returns a day from now if
// that never happens.
func (w *window) fallsBelow(now time.Time, n int64) time.Time {
	w.advance(now)
	total := w.total
	if total < n {
		return now
	}
	for _, b := range w.bins {
		if total -= b.count; total < n {
			return b.start.Add(binSize + day)
		}
	}
	return now.Add(day)
}
