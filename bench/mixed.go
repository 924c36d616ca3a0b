package main

// mixedRow compares the broker with subscribers of all formats in one setting.
type mixedRow struct {
	Subscribers, InFlight int
	// CPU is the median over the rounds.
	CPU float64
	// Dearest is the format with the highest median among those that were measured with as many
	// subscribers of that format alone.
	Dearest string
	// Ratio is CPU over that of Dearest in the same round, as the median of the rounds.
	Ratio float64
	// Target is the maximum of Ratio; 0 for no target.
	Target float64
}

// summarizeMixed makes the rows of the mixed contender. There are none for settings without a
// measured single format.
func summarizeMixed(rows []row, windows []figure) []mixedRow {
	var made []mixedRow
	for _, m := range rows {
		if m.Server != mixed {
			continue
		}
		s := setting{m.Subscribers, m.InFlight}
		dearest := dearestFormat(rows, s)
		if dearest == "" {
			continue
		}
		made = append(made, mixedRow{
			Subscribers: m.Subscribers,
			InFlight:    m.InFlight,
			CPU:         m.CPU,
			Dearest:     dearest,
			Ratio:       ratioOf(windows, s, mixed, dearest),
			Target:      mixedTarget(m.Subscribers),
		})
	}
	return made
}

// mixedTarget returns the maximum for mixed subscribers, 0 if there is none.
func mixedTarget(subscribers int) float64 {
	if subscribers == targetSubscribers {
		return targetMixed
	}
	return 0
}

// dearestFormat returns the single format of the broker with the highest CPU in
// a setting; "" if none was measured.
func dearestFormat(rows []row, s setting) string {
	var dearest row
	for _, r := range rows {
		if ours(r.Server) && r.Server != mixed && (setting{r.Subscribers, r.InFlight}) == s && r.CPU > dearest.CPU {
			dearest = r
		}
	}
	return dearest.Server
}

// ratioOf returns the CPU of server over that of to in the same round and setting, as the median of
// the rounds.
func ratioOf(windows []figure, s setting, server, to string) float64 {
	base := make(map[int]float64)
	for _, w := range windows {
		if w.Server == to && (setting{w.Subscribers, w.InFlight}) == s {
			base[w.Round] = w.CPU
		}
	}
	var ratios []float64
	for _, w := range windows {
		if w.Server == server && (setting{w.Subscribers, w.InFlight}) == s {
			ratios = append(ratios, w.CPU/base[w.Round])
		}
	}
	return median(ratios)
}
