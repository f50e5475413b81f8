package monitor

import (
	"slices"
	"sort"
	"time"
)

// window counts the requests of the last 24 hours in short bins. A bin counts until 24 hours after its last request was
// sent, so that the count is never too small.
type window struct {
	origin uint64 // of the bins that add makes
	bins   []bin  // by start; none is empty
	total  int64
	sealed time.Time // requests from then on are in bins that begin no earlier: the others may become older
}

// bin counts the requests that were made from start on, for binSize. Its origin is the account that made them: a bin
// that two accounts have taken over, each on its way, counts once.
type bin struct {
	origin uint64
	start  time.Time
	count  int64
}

const (
	// binSize is the length of a bin: a request counts for up to this much longer than 24 hours.
	binSize = 10 * time.Minute
	// permitTTL is the longest time from a permit, when a request is counted, to the request.
	permitTTL = time.Minute
)

// end returns when the bin no longer counts.
func (b bin) end() time.Time { return b.start.Add(binSize + permitTTL + day) }

// advance forgets the bins that are over.
func (w *window) advance(now time.Time) {
	for len(w.bins) > 0 && !now.Before(w.bins[0].end()) {
		w.total -= w.bins[0].count
		w.bins = w.bins[1:]
	}
}

// add adds n requests, or takes back -n, that were made at the time at.
func (w *window) add(at time.Time, n int64) {
	i, end := w.after(later(at.Add(-binSize), w.sealed.Add(-1))), w.after(at) // the bins that include at
	for i < end && w.bins[i].origin != w.origin {
		i++
	}
	switch {
	case i < end:
		w.bins[i].count += n
	case n < 0: // the bin is over, and its count with it
		return
	default:
		w.bins = slices.Insert(w.bins, i, bin{w.origin, at, n})
	}
	w.total += n
	if w.bins[i].count == 0 {
		w.bins = slices.Delete(w.bins, i, i+1)
	}
}

// insert adds a bin, unless it has it: to add its requests to another bin could make them count for too short.
func (w *window) insert(b bin) {
	i := w.after(b.start)
	for j := i - 1; j >= 0 && w.bins[j].start.Equal(b.start); j-- {
		if w.bins[j].origin == b.origin {
			w.total += max(0, b.count-w.bins[j].count)
			w.bins[j].count = max(w.bins[j].count, b.count)
			return
		}
	}
	w.bins = slices.Insert(w.bins, i, b)
	w.total += b.count
}

// wasOff makes the bins from before the system was off older by that time.
func (w *window) wasOff(u unverified, off time.Duration) {
	w.bins = slices.Clone(w.bins)
	for i := range w.bins {
		w.bins[i].start = u.older(w.bins[i].start, off)
	}
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
			return b.end()
		}
	}
	return now.Add(day)
}
