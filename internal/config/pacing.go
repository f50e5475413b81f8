package config

import "strconv"

var defaultPacing = Pacing{
	QuotaShare:        0.25,
	AssumedDailyLimit: 1000, // which the vendor's documentation gives
	Reserve:           0.05,
}

// maxAssumedDailyLimit bounds assumed_daily_limit, in requests per day.
const maxAssumedDailyLimit = 1_000_000_000

var pacingFields = []field[Pacing]{
	{"quota_share", (*Pacing).readQuotaShare},
	{"assumed_daily_limit", (*Pacing).readAssumedDailyLimit},
	{"reserve", (*Pacing).readReserve},
	{"min_interval", (*Pacing).readMinInterval},
}

func (p *Pacing) readQuotaShare(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share > 0 && share <= 1) {
		v.errorf("not a number above 0 and up to 1; write 0.25 for a quarter of the account's daily limit")
		return
	}
	p.QuotaShare = share
}

func (p *Pacing) readAssumedDailyLimit(v value) {
	text, ok := v.text()
	if !ok {
		return
	}
	limit, err := strconv.ParseInt(text, 10, 64)
	if err != nil || limit < 1 || limit > maxAssumedDailyLimit {
		v.errorf("not a whole number from 1 to %d; write the account's requests per day, such as %d",
			maxAssumedDailyLimit, defaultPacing.AssumedDailyLimit)
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
		v.errorf("not a number from 0 to below 1; write 0.05 to leave a twentieth of the daily limit to your programs")
		return
	}
	p.Reserve = reserve
}

func (p *Pacing) readMinInterval(v value) {
	interval, ok := v.duration()
	switch {
	case ok && interval < 0:
		v.errorf("below 0; write a duration such as 5m, or 0s for no floor")
	case ok:
		p.MinInterval = interval
	}
}
