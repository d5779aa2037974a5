{# What may stand in the seeds `metrics` and `metric_events`. Meaning: docs/metrics.md. #}

{% macro metric_vocabulary() %}
    {#- Column → the words that may stand in it. -#}
    {{- return({
        'metric_type': [
            'conversion', 'count', 'sum', 'ratio', 'funnel', 'compound', 'retention',
        ],
        'value': ['revenue', 'value', 'quantity', 'events'],
        'within_from': ['first_step', 'exposure'],
        'scope': ['visitor', 'session'],
        'direction': ['increase', 'decrease'],
        'role': ['primary', 'secondary', 'guardrail'],
        'clause': [
            'step', 'all_of', 'any_of', 'none_of', 'numerator', 'denominator', 'event',
        ],
        'match_field': ['event_name', 'entity_id', 'event_type'],
    }) -}}
{% endmacro %}

{% macro metric_columns() %}
    {{- return([
        'metric_name', 'metric_type', 'value', 'window_hours', 'within_seconds', 'within_from',
        'scope', 'direction', 'role', 'cap_quantile', 'description', 'non_inferiority_margin',
    ]) -}}
{% endmacro %}

{% macro metric_event_columns() %}
    {{- return([
        'metric_name', 'position', 'clause', 'match_field', 'match_value', 'tag_name', 'tag_value',
        'min_count',
    ]) -}}
{% endmacro %}

{% macro clauses_of_types() %}
    {#- Type of metric → the clauses that its events may stand in. -#}
    {{- return({
        'conversion': ['event'],
        'count': ['event'],
        'sum': ['event'],
        'retention': ['event'],
        'ratio': ['numerator', 'denominator'],
        'compound': ['all_of', 'any_of', 'none_of'],
        'funnel': ['step'],
    }) -}}
{% endmacro %}

{% macro longest_funnel() %}
    {#- Steps of the longest funnel that can be declared. -#}
    {{- return(15) -}}
{% endmacro %}

{% macro longest_declared_funnel() %}
    {#-
        Steps of the longest funnel that is declared when the model is built, at least 1: SQL that
        is written for each step is no longer than it has to be. Where dbt sees no declarations,
        of the longest that can be: they may be there, for dbt-spark takes a schema for empty when
        a table goes while it is listed.
    -#}
    {%- set declarations = ref('stg_registry__metric_events') -%}
    {%- if not execute or load_cached_relation(declarations) is none -%}
        {{- return(optimizely_e3.longest_funnel()) -}}
    {%- endif -%}
    {%- set found = run_query(
        'select coalesce(max(part), 1) from ' ~ declarations ~ " where clause = 'step' and part > 0"
    ) -%}
    {{- return([found.columns[0].values()[0] | int, optimizely_e3.longest_funnel()] | min) -}}
{% endmacro %}

{% macro text_list(words) %}
    {#- Words as the inside of an SQL `in (…)`. -#}
    {{- "'" ~ words | join("', '") ~ "'" -}}
{% endmacro %}

{% macro one_of(words) %}
    {#- Words as a person lists them. -#}
    {{- words[:-1] | join(', ') ~ ' or ' ~ words[-1] if words | length > 1 else words[0] -}}
{% endmacro %}

{% macro stop_at_missing_columns() %}
    {#-
        Stops a build at a seed that lacks a column, with a message that names it; the database's
        own would speak of a view. A hook of the first model that reads the seeds; the others wait for it.
    -#}
    {%- if execute -%}
        {%- set missing = [] -%}
        {%- for seed, wanted in {
            'metrics': optimizely_e3.metric_columns(),
            'metric_events': optimizely_e3.metric_event_columns(),
        }.items() -%}
            {%- set found = adapter.get_columns_in_relation(ref(seed)) | map(attribute='name') | list -%}
            {%- for column in wanted if column not in found -%}
                {%- do missing.append(seed ~ '.csv has no column ' ~ column) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if missing -%}
            {%- do exceptions.raise_compiler_error(
                missing | join('; ') ~ '. Nothing is built. Mend the header, then run '
                ~ '`dbt build`, or `dbt seed` and `dbt run`.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro stop_at_mistakes(mistakes) %}
    {#-
        Stops a build before anything is built from declarations that hold a mistake, with one
        message that names every mistake. A hook of the model that everything else waits for: so it
        comes after the seeds of `dbt build`, and before all models of `dbt run`.
    -#}
    {%- if execute -%}
        {%- set found = run_query('select message from ' ~ mistakes ~ ' order by message') -%}
        {%- set messages = found.columns[0].values() -%}
        {%- if messages | length > 0 -%}
            {%- do exceptions.raise_compiler_error(
                messages | length ~ (' mistakes' if messages | length > 1 else ' mistake')
                ~ ' in the declared metrics, and nothing is built:\n  '
                ~ messages | join('\n  ')
                ~ '\nMend the seeds, then run `dbt build`, or `dbt seed` and `dbt run`.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
