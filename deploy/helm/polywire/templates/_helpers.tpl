{{- define "polywire.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "polywire.selector" -}}
app.kubernetes.io/name: polywire
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "polywire.labels" -}}
{{ include "polywire.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* The configuration: what the values say, and the parts that are the chart's. */ -}}
{{- define "polywire.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $admin := dict "listen" ":9100" "hosts" (list "*") "tokens" (list (dict "hash" "${ADMIN_TOKEN_HASH}" "subject" "prometheus" "role" "read")) -}}
{{- $_ := set $config "admin" $admin -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $name := include "polywire.name" . -}}
{{- $routes := list -}}
{{- range $i := until (int .Values.replicas) -}}
{{- $routes = append $routes (printf "nats://%s-%d.%s-nodes:6222" $name $i $name) -}}
{{- end -}}
{{- $embedded := dict "listen" "0.0.0.0:6222" "routes" $routes "secret" "${CLUSTER_SECRET}" "store_dir" "/data" -}}
{{- $_ := set $config "cluster" (dict "engine" "nats" "node" "${HOSTNAME}" "embedded" $embedded) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
