package simulator

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.total.Add(1)
	now := a.options.Now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	path, ours := strings.CutPrefix(r.URL.Path, "/v2")
	if !ours || path != "" && path[0] != '/' {
		write(w, notFound)
		return
	}
	known := a.lookup(bearer(r.Header))
	if known == nil {
		if wait(r.Context(), a.options.Latency) {
			write(w, unknownToken)
		}
		return
	}
	a.serve(w, r, known, strings.Trim(path, "/"), now)
}

// serve responds to a request, which arrived at now, with a token that the API knows.
func (a *API) serve(w http.ResponseWriter, r *http.Request, known *token, path string, now time.Time) {
	behavior := known.next()
	owner := known.account.Load()
	sequence := known.requests.Add(1)
	owner.requests.Add(1)

	admitted := behavior.admits()
	use := quota{}
	if behavior.metered() {
		var left bool
		use, left = owner.take(now)
		if behavior == DailyLimit {
			use.used = use.limit
		}
		if admitted && !left {
			behavior, admitted = DailyLimit, false
		}
		announce(w.Header(), use)
	}

	delay := a.options.Latency
	if behavior == Slow {
		delay += a.options.SlowDelay
	}
	if !wait(r.Context(), delay) {
		return
	}
	if !admitted {
		a.deny(w, r, behavior, owner, use)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		write(w, wrongMethod)
		return
	}
	resource, found := resources[path]
	if !found {
		write(w, notFound)
		return
	}
	body := resource(visit{
		user: owner.user, quota: use, sequence: sequence, metered: behavior.metered(), now: now, query: r.URL.Query(),
	})
	write(w, answer{status: http.StatusOK, contentType: jsonType, body: body})
}

// next returns the behavior for the token's next request.
func (t *token) next() Behavior {
	if t.behavior.CompareAndSwap(uint32(RevokedOnce), uint32(Valid)) {
		return Revoked
	}
	return Behavior(t.behavior.Load())
}

// deny responds to a token without access to the API.
func (a *API) deny(w http.ResponseWriter, r *http.Request, behavior Behavior, owner *account, use quota) {
	switch behavior {
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Drop:
		panic(http.ErrAbortHandler)
	case RevokedQuotingEmail:
		write(w, failure(http.StatusUnauthorized, "Could not authenticate: "+owner.email, ""))
	case DailyLimit:
		write(w, chillOut(use))
	case SlowDown:
		w.Header().Set("Retry-After", strconv.FormatInt(int64(a.options.RetryAfter/time.Second), 10))
		write(w, answers[SlowDown])
	case Redirect:
		w.Header().Set("Location", "/login")
		write(w, answers[Redirect])
	default:
		write(w, answers[behavior])
	}
}

// chillOut returns the response to requests over the daily limit.
func chillOut(use quota) answer {
	body := fmt.Appendf(nil, `{"status":420,"message":"Chill Out!","additional":"used %d of %d daily requests",`+
		`"see_also":"https://appfigures.com/support/faq#/question/420"}`, use.used, use.limit)
	return answer{status: statusDailyLimit, contentType: jsonType, body: body}
}

// bearer returns the token in the Authorization header; empty if there is none.
func bearer(header http.Header) string {
	scheme, secret, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// announce sets the two headers of the quota.
func announce(header http.Header, use quota) {
	header.Set("X-Request-Limit", strconv.FormatInt(use.limit, 10))
	header.Set("X-Request-Usage", strconv.FormatInt(use.used, 10))
}

func write(w http.ResponseWriter, a answer) {
	header := w.Header()
	if a.contentType != "" {
		header.Set("Content-Type", a.contentType)
	}
	if a.challenge != "" {
		header.Set("WWW-Authenticate", a.challenge)
	}
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	header.Set("Cache-Control", "private")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may have closed the connection
}

// wait returns true after delay, or false once the client has closed the connection.
func wait(ctx context.Context, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
