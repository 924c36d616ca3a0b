package rawjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// corpus holds texts that are JSON, and some that are nearly JSON, for the
// tests that cut, compare and fuzz.
var corpus = []string{
	`null`, `true`, `false`, `0`, `-0`, `-1.5e+10`, `1e400`, `9007199254740993`, `0.5`, `1E-2`,
	`""`, `"a"`, `" "`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\u00e9"`, `"\uD83D\uDE00"`, `"\ud800"`, `"\udc00\ud800"`,
	`"é😀"`, `"0123456789abcdef0123456789"`, `"0123456\n"`, `"01234567\"89"`,
	`[]`, `{}`, `[ ]`, `{ }`, `[1]`, `[1,2,[3,[]],{}]`, `{"a":1}`, `{"a":1,"a":2}`, `{"":{"":[]}}`,
	` { "a" : [ 1 , "x" ] , "b" : null } `, "\t\r\n1\n",
	`{"type":"ps-pub","channel":"news","topic":"today","data":{"n":9007199254740993}}`,
	``, ` `, `nul`, `nulll`, `True`, `01`, `1.`, `.5`, `-`, `+1`, `1e`, `1e+`, `--1`, `0x1`, `1 2`, `NaN`,
	`"`, `"\`, `"\u12`, `"\u12G4"`, `"\x"`, "\"\x1f\"", "\"\n\"", "\"0123456\x00\"", `'a'`,
	`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[,]`, `[1 2]`, `[}`, `[1}`, `[1}]`,
	`{`, `}`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a",1}`, `{a:1}`, `{1:1}`, `{"a":1]`,
	`{"a":1}}`, `[]]`, `{}{}`, `[[],{},[{}]`, "\ufeff1", "\"\x80\xff\"", "\x80",
}

func TestCheckAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range corpus {
		want := json.Valid([]byte(text))
		if got := Valid([]byte(text)); got != want {
			t.Errorf("Valid(%q) = %v, want %v", text, got, want)
		}
		if err := Check([]byte(text)); (err == nil) != want {
			t.Errorf("Check(%q) = %v, want valid %v", text, err, want)
		}
	}
}

// A text cut at any byte is judged as encoding/json judges it, and no reader
// looks beyond the cut: the capacity ends there too.
func TestCutAtEveryByte(t *testing.T) {
	for _, text := range corpus {
		for i := range len(text) + 1 {
			cut := []byte(text)[:i:i]
			if got, want := Valid(cut), json.Valid(cut); got != want {
				t.Errorf("Valid(%q) = %v, want %v", cut, got, want)
			}
			readAll(t, cut)
		}
	}
}

func TestErrorOffsets(t *testing.T) {
	for _, c := range []struct {
		text   string
		offset int
	}{
		{``, 0}, {` x`, 1}, {`[1,x]`, 3}, {`{"a" 1}`, 5}, {`"a\qb"`, 2}, {"\"a\nb\"", 2}, {`[1] 2`, 4}, {`[1`, 2}, {`"abc`, 4},
	} {
		err := Check([]byte(c.text))
		var at *SyntaxError
		if !errors.As(err, &at) || at.Offset != c.offset || !errors.Is(err, ErrSyntax) {
			t.Errorf("Check(%q) = %v, want ErrSyntax at %d", c.text, err, c.offset)
		}
	}
}

func TestDepth(t *testing.T) {
	nest := func(open, inner, end string, n int) []byte {
		return []byte(strings.Repeat(open, n) + inner + strings.Repeat(end, n))
	}
	for _, c := range []struct {
		name       string
		open, end  string
		innermost  string
		perRepeat  int
		deepestFit int
	}{
		{"arrays", `[`, `]`, `1`, 1, MaxDepth},
		{"empty arrays", `[`, `]`, `[]`, 1, MaxDepth - 1},
		{"objects", `{"a":`, `}`, `1`, 1, MaxDepth},
		{"empty objects", `{"a":`, `}`, `{}`, 1, MaxDepth - 1},
		{"mixed", `[{"a":`, `}]`, `1`, 2, MaxDepth / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200} {
				text := nest(c.open, c.innermost, c.end, n)
				if err := Check(text); err != nil {
					t.Errorf("%d levels: %v", n, err)
				}
				if Valid(text[:len(text)-1]) || Valid(append(text, ']')) {
					t.Errorf("%d levels, unbalanced: accepted", n)
				}
			}
			fits := nest(c.open, c.innermost, c.end, c.deepestFit)
			if err := Check(fits); err != nil || !json.Valid(fits) {
				t.Errorf("deepest text: %v", err)
			}
			tooDeep := nest(c.open, c.innermost, c.end, c.deepestFit+1)
			if err := Check(tooDeep); !errors.Is(err, ErrDepth) || json.Valid(tooDeep) {
				t.Errorf("too deep a text: %v, want ErrDepth", err)
			}
		})
	}
}

// The iterators count their own level, so that they bound what Check bounds.
func TestDepthInIterators(t *testing.T) {
	inner := strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1)
	for text, want := range map[string]error{
		`{"a":` + inner + `}`:   nil,
		`{"a":[` + inner + `]}`: ErrDepth,
	} {
		m := Object([]byte(text))
		for m.Next() {
		}
		if !errors.Is(m.Err(), want) {
			t.Errorf("object of %d bytes: %v, want %v", len(text), m.Err(), want)
		}
	}
	for text, want := range map[string]error{`[` + inner + `]`: nil, `[[` + inner + `]]`: ErrDepth} {
		e := Array([]byte(text))
		for e.Next() {
		}
		if !errors.Is(e.Err(), want) {
			t.Errorf("array of %d bytes: %v, want %v", len(text), e.Err(), want)
		}
	}
}

func TestTrim(t *testing.T) {
	for text, want := range map[string]string{"": "", " \t\r\n": "", " a b\n": "a b", "a": "a", "\u00a0": "\u00a0"} {
		if got := string(Trim([]byte(text))); got != want {
			t.Errorf("Trim(%q) = %q, want %q", text, got, want)
		}
	}
}

// plain looks at eight bytes at a time; every stop must be found at every
// offset, whatever stands beside it.
func TestPlainFindsEveryStop(t *testing.T) {
	for c := range 256 {
		stop := c < 0x20 || c == '"' || c == '\\'
		for _, fill := range []byte{'!', '#', ' ', '[', ']', 0x7f, 0x80, 0xa2, 0xdc, 0xff} {
			for length := 1; length < 20; length++ {
				for at := range length {
					b := []byte(strings.Repeat(string([]byte{fill}), length))
					b[at] = byte(c)
					want := length
					if stop {
						want = at
					}
					if got := plain(b, 0); got != want {
						t.Fatalf("plain(%q) = %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	object := []byte(`{"type":"ps-pub","channel":"a\tb","data":{"n":[1,{"x":[]}],"s":"\ud83d\ude00"},"list":["a","b"]}`)
	deep := []byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))
	broken := []byte(`{"a":[1,2,}`)
	dst, scratch := make([]byte, 0, 256), make([]byte, 0, 256)
	for name, f := range map[string]func(){
		"Check":       func() { _ = Check(object) },
		"Valid deep":  func() { _ = Valid(deep) },
		"Valid wrong": func() { _ = Valid(broken) },
		"AppendQuote": func() { dst = AppendQuote(dst[:0], object) },
		"Object": func() {
			m := Object(object)
			for m.Next() {
				if m.KeyIs("channel") {
					text, _ := Unquote(m.Value(), scratch)
					dst = append(dst[:0], text...)
					dst, _ = AppendUnquoted(dst[:0], m.Value())
				}
				if IsArray(m.Value()) {
					e := Array(m.Value())
					for e.Next() {
						dst = append(dst[:0], e.Value()...)
					}
				}
			}
			if m.Err() != nil {
				panic(m.Err())
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, text := range corpus {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, want := Valid(data), json.Valid(data); got != want {
			t.Fatalf("Valid(%q) = %v, want %v", data, got, want)
		}
		readAll(t, data)
	})
}

func BenchmarkCheck(b *testing.B) {
	for name, text := range benchmarkTexts() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !Valid(text) {
					b.Fatal("not valid")
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if !json.Valid(text) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

func benchmarkTexts() map[string][]byte {
	var rows strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&rows, `{"id":%d,"name":"row %d","tags":["a","b"],"ok":true},`, i, i)
	}
	return map[string][]byte{
		"128B":  []byte(`{"type":"ps-pub","channel":"news","topic":"today","data":{"n":9007199254740993,"text":"` + strings.Repeat("x", 38) + `"}}`),
		"rows":  []byte("[" + rows.String() + "0]"),
		"plain": []byte(`"` + strings.Repeat("plain text ", 6000) + `"`),
	}
}
