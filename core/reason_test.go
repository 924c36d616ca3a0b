package core

import "testing"

func TestReasonsAreNamed(t *testing.T) {
	seen := map[string]Reason{}
	for r := range NumReasons {
		if other, twice := seen[r.String()]; twice || r.String() == "" {
			t.Errorf("reasons %d and %d are both called %q", other, r, r)
		}
		seen[r.String()] = r
	}
	if seen["answerer"] != ReasonAnswerer || ReasonAnswerer.CloseCode() != 1011 {
		t.Errorf("ReasonAnswerer is %q and closes with %d", ReasonAnswerer, ReasonAnswerer.CloseCode())
	}
}
