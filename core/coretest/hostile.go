package coretest

import "strings"

// HostileJSON returns long texts that are costly to read, valid and invalid ones. They
// repeat members with the given names. They are seeds for the tests of everything that reads
// JSON.
func HostileJSON(names ...string) map[string]string {
	const many = 6_000
	all := map[string]string{
		"open arrays":          strings.Repeat(`[`, many),
		"nested arrays":        strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000),
		"nested objects":       strings.Repeat(`{"a":`, 9_000) + `1` + strings.Repeat(`}`, 9_000),
		"unknown members":      `{` + strings.Repeat(`"unknown":1,`, many) + `"x":1}`,
		"escaped names":        `{` + strings.Repeat(`"\u0061\u0062\u0063":1,`, many/10) + `"x":1}`,
		"a long escaped name":  `{"` + strings.Repeat(`\u0061`, many) + `":1}`,
		"empty objects":        `[` + strings.Repeat(`{},`, many) + `{}]`,
		"white space":          strings.Repeat(" ", many) + `{` + strings.Repeat("\n", many) + `}` + strings.Repeat("\t", many),
		"an endless string":    `"` + strings.Repeat(`\\`, many),
		"half surrogate pairs": `"` + strings.Repeat(`\ud800`, many) + `"`,
		"quotes in quotes":     `"` + strings.Repeat(`\"`, many) + `"`,
		"a long number":        strings.Repeat("1", many) + "e" + strings.Repeat("1", many),
		"binary objects":       `{"$binary":"` + strings.Repeat(`\/w==`, many) + `"}`,
	}
	for _, name := range names {
		for what, value := range map[string]string{
			"strings": `"value"`, "escapes": `"\n"`, "long escapes": `"` + strings.Repeat(`\u0061`, 1000) + `"`, "numbers": `1`,
			"objects": `{"a":{"b":["c"]}}`, "binaries": `{"$binary":"/w=="}`, "nulls": `null`, "arrays": `[[[]]]`,
		} {
			all[name+" with "+what] = `{` + strings.Repeat(`"`+name+`":`+value+`,`, many/len(value)) + `"` + name + `":` + value + `}`
		}
		all[name+" of escapes"] = `{"` + name + `":"` + strings.Repeat(`\u0000`, many) + `"}`
		all[name+" of arrays"] = `{"` + name + `":` + strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000) + `}`
		all[name+" of percents"] = `{"` + name + `":"` + strings.Repeat(`%25`, many) + `2C"}`
		all[name+" of levels"] = `{"` + name + `":"` + strings.Repeat(`+/`, many) + `#"}`
	}
	return all
}
