package monitor

import (
	"slices"
	"sort"
	"time"
)

// window counts the requests of the last 24 hours in short bins. A bin counts until 24 hours after its end, so that
// the count is never too small.
type window struct {
	bins  []bin // by start; none is empty
	total int64
}

// bin counts the requests that were made from start on, for binSize.
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
	i := w.after(at.Add(-binSize)) // the first bin that has not ended
	switch {
	case i < len(w.bins) && !w.bins[i].start.After(at):
		w.bins[i].count += n
	case n < 0: // the bin is over, and its count with it
		return
	default:
		w.bins = slices.Insert(w.bins, i, bin{at, n})
	}
	w.total += n
	if w.bins[i].count == 0 {
		w.bins = slices.Delete(w.bins, i, i+1)
	}
}

// insert adds a bin as it is: to add its requests to another bin could make them count for too short.
func (w *window) insert(b bin) {
	w.bins = slices.Insert(w.bins, w.after(b.start), b)
	w.total += b.count
}

// after returns the index of the first bin that begins after t.
func (w *window) after(t time.Time) int {
	return sort.Search(len(w.bins), func(i int) bool { return w.bins[i].start.After(t) })
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
