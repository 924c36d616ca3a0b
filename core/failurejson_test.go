package core

import "testing"

func TestFailureFrom(t *testing.T) {
	for _, c := range []struct {
		name string
		kind PayloadKind
		data string
		want Failure
	}{
		{"object", JSON, ` {"code":"mine","text":"of \"mine\""} `, Failure{"mine", `of "mine"`}},
		{"object as text", Text, `{"text":"t","code":"c"}`, Failure{"c", "t"}},
		{"object as bytes", Binary, `{"code":"c"}`, Failure{"c", ""}},
		{"number", JSON, `{"code":404}`, Failure{"404", ""}},
		{"a code that reads as JSON", JSON, `{"code":"404","text":"true"}`, Failure{"404", "true"}},
		{"text alone", JSON, `{"text":"t"}`, Failure{AnswererError, "t"}},
		{"empty code", JSON, `{"code":"","text":"t"}`, Failure{AnswererError, "t"}},
		{"null code", JSON, `{"code":null,"text":"t"}`, Failure{AnswererError, "t"}},
		{"other letters", JSON, `{"Code":"c"}`, Failure{"c", ""}},
		{"twice", JSON, `{"code":"a","code":"b"}`, Failure{"b", ""}},
		{"text that is an object", JSON, `{"code":"c","text":{"a":1}}`, Failure{"c", `{"a":1}`}},
		{"another object", JSON, `{"a":1}`, Failure{AnswererError, `{"a":1}`}},
		{"null in both", JSON, `{"code":null,"text":null}`, Failure{AnswererError, `{"code":null,"text":null}`}},
		{"string", JSON, `"5"`, Failure{AnswererError, "5"}},
		{"number alone", JSON, `5`, Failure{AnswererError, "5"}},
		{"text", Text, "no", Failure{AnswererError, "no"}},
		{"text like an object", Text, `{"code":"c"`, Failure{AnswererError, `{"code":"c"`}},
		{"bytes", Binary, "\xff", Failure{AnswererError, `{"$binary":"/w=="}`}},
		{"bytes like an object", Binary, "{\"code\":\"\xff\"}", Failure{AnswererError, `{"$binary":"eyJjb2RlIjoi/yJ9"}`}},
		{"nothing", Absent, "", Failure{AnswererError, ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := FailureFrom(Payload{Kind: c.kind, Data: []byte(c.data)}); got != c.want {
				t.Errorf("FailureFrom(%s) = %+v, want %+v", c.data, got, c.want)
			}
		})
	}
}

func TestAppendFailure(t *testing.T) {
	for _, f := range []Failure{{Gone, "it left"}, {"a\"b", "c\\d\n"}, {"404", ""}} {
		raw := AppendFailure([]byte("x"), f)
		if raw[0] != 'x' {
			t.Fatalf("AppendFailure overwrote what was there: %s", raw)
		}
		if got := FailureFrom(Payload{Kind: JSON, Data: raw[1:]}); got != f {
			t.Errorf("%s is read as %+v, want %+v", raw[1:], got, f)
		}
	}
	if got := string(AppendFailure(nil, Failure{NoService, ""})); got != `{"code":"no_service","text":""}` {
		t.Errorf("AppendFailure = %s", got)
	}
}
