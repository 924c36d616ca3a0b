package polywire_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// routePattern finds the patterns of the operations in their source.
var routePattern = regexp.MustCompile(`"((?:GET|POST|PUT|PATCH|DELETE) /v1/[^"]*)"`)

// description is the OpenAPI document of the admin API.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile("internal/admin/openapi.yaml")
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// asDescribed sends requests to the admin API, and fails the test if they or their answers are not as its
// document describes them.
func asDescribed(t *testing.T, request *http.Request, body []byte) (*http.Response, []byte) {
	t.Helper()
	doc, err := description()
	if err != nil {
		t.Fatalf("internal/admin/openapi.yaml: %v", err)
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	request.ContentLength = int64(len(body))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	path, params := template(doc, request.URL.Path)
	item := doc.Paths.Value(path)
	if item == nil || item.GetOperation(request.Method) == nil {
		t.Fatalf("%s %s is not described", request.Method, request.URL.Path)
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	asked := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params,
		Route:   &routers.Route{Spec: doc, Path: path, PathItem: item, Method: request.Method, Operation: item.GetOperation(request.Method)},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, ExcludeRequestBody: true},
	}
	if response.StatusCode < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(t.Context(), asked); err != nil {
			t.Errorf("%s %s was answered, and is not described: %v", request.Method, request.URL, err)
		}
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: asked, Status: response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(answer)), Options: asked.Options,
	}); err != nil {
		t.Errorf("the answer to %s %s is not as described: %v\n%s", request.Method, request.URL, err, answer)
	}
	return response, answer
}

// template returns the path of the document that a request has, and what stands for its parameter, which is
// the rest of the path.
func template(doc *openapi3.T, path string) (found string, params map[string]string) {
	if doc.Paths.Value(path) != nil {
		return path, nil
	}
	for one := range doc.Paths.Map() {
		before, name, ok := strings.Cut(strings.TrimSuffix(one, "}"), "{")
		if rest, is := strings.CutPrefix(path, before); ok && is {
			return one, map[string]string{name: rest}
		}
	}
	return path, nil
}

// The broker shows the document, and has no operation that it does not describe.
func TestOpenAPI(t *testing.T) {
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("internal/admin/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, "endpoints: [{name: web, protocol: vws, listen: \"127.0.0.1:0\"}]\nadmin: {listen: \"127.0.0.1:0\"}\n")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(r.AdminURL(), "/metrics")+"/v1/openapi.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, body := asDescribed(t, request, nil); response.StatusCode != http.StatusOK || !bytes.Equal(body, file) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	var described []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(described)
	var served []string
	sources, err := os.ReadDir("internal/admin")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range sources {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile("internal/admin/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range routePattern.FindAllStringSubmatch(string(source), -1) {
			served = append(served, strings.Replace(m[1], "...", "", 1))
		}
	}
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described are\n%s\nserved are\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}
