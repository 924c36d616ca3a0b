// Command ratio copies the output of `go test -bench` from its standard input to its standard
// output, and at the end compares the time of one benchmark in it with that of another:
//
//	go test -bench . ./... | ratio -of Match/100000 -to Match/100 -target 2
//
// Names are without "Benchmark" and without the number of processors. A benchmark that ran several
// times (-count) counts with its fastest run, the least disturbed one.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"strconv"
)

func main() {
	of := flag.String("of", "", "the benchmark that is judged")
	to := flag.String("to", "", "the benchmark that it is compared with")
	target := flag.Float64("target", 1, "what the ratio must not exceed")
	flag.Parse()

	times, err := pass(os.Stdin, os.Stdout)
	if err != nil {
		log.Fatal(err)
	}
	verdict, err := compare(times, *of, *to, *target)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("\n" + verdict)
}

// result is a line such as "BenchmarkMatch/100-2   1000   391.0 ns/op …". The
// number of processors is missing if it is one.
var result = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(\S+) ns/op`)

// pass copies from in to out, and returns the fastest time of each benchmark, in nanoseconds per
// operation.
func pass(in io.Reader, out io.Writer) (map[string]float64, error) {
	times := make(map[string]float64)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if _, err := fmt.Fprintln(out, lines.Text()); err != nil {
			return nil, fmt.Errorf("passing on: %w", err)
		}
		m := result.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return nil, fmt.Errorf("parsing the time of %s: %w", m[1], err)
		}
		if best, ok := times[m[1]]; !ok || ns < best {
			times[m[1]] = ns
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading benchmarks: %w", err)
	}
	return times, nil
}

// compare says whether one benchmark meets its target relative to another.
func compare(times map[string]float64, of, to string, target float64) (string, error) {
	if times[of] == 0 || times[to] == 0 {
		return "", errors.New("comparing: the output lacks " + of + " or " + to)
	}
	ratio, word := times[of]/times[to], "ok"
	if ratio > target {
		word = "MISSED"
	}
	return fmt.Sprintf("%s takes %.2f of %s, target <= %.2f  %s", of, ratio, to, target, word), nil
}
