{#
    The watermark of a model is the last load it has seen. It is written in the transaction that
    writes the model. It counts only under the settings it was written with: after a var or a
    pattern of the seed `bot_user_agents` changed, every visitor is recomputed.
#}

{% macro watermark_table() %}
    {{- return(api.Relation.create(
        database=target.database, schema=target.schema, identifier='build_watermarks'
    )) -}}
{% endmacro %}

{% macro name_in_schema(node) %}
    {#- `<schema>.<table>` of a model; without the database, which is called as its file is. -#}
    {{- return(node.schema ~ '.' ~ node.alias) -}}
{% endmacro %}

{% macro settings_fingerprint() %}
    {#- Scalar: the vars as they are now, and the patterns as they are when the query runs. -#}
    {%- set vars_fingerprint = local_md5(tojson(optimizely_e3.counting_settings())) -%}
    (
        select
            '{{ vars_fingerprint }}-'
            || md5(coalesce(string_agg(md5(patterns.pattern), '' order by patterns.pattern), ''))
        from {{ ref('stg_registry__bot_user_agents') }} as patterns
    )
{%- endmacro %}

{% macro watermark(model_name=none) %}
    {#- Scalar subquery: last load seen by a model (this one by default), 0 for none. -#}
    (
        select coalesce(max(watermarks.load_id), 0)
        from {{ optimizely_e3.watermark_table() }} as watermarks
        where
            watermarks.model = '{{ model_name or optimizely_e3.name_in_schema(model) }}'
            and watermarks.settings = {{ optimizely_e3.settings_fingerprint() }}
    )
{%- endmacro %}

{% macro note_watermark() %}
    {#-
        A model has seen no more than the models it reads. Taking the ledger's newest load instead
        would lose visitors when a model is built alone, before the models it reads.
    -#}
    {%- set seen = [] -%}
    {%- for name in optimizely_e3.visitor_models_read(model.depends_on.nodes) -%}
        {%- do seen.append(optimizely_e3.watermark(name)) -%}
    {%- else -%}
        {%- do seen.append(
            '(select coalesce(max(load_id), 0) from ' ~ source('optimizely_ledger', 'loads') ~ ')'
        ) -%}
    {%- endfor -%}
    {%- set this_name = optimizely_e3.name_in_schema(model) %}
    delete from {{ optimizely_e3.watermark_table() }} where model = '{{ this_name }}';
    insert into {{ optimizely_e3.watermark_table() }}
    select
        '{{ this_name }}' as model,
        {{ optimizely_e3.settings_fingerprint() }} as settings,
        last_seen.load_id,
        (
            select loads.landed_at
            from {{ source('optimizely_ledger', 'loads') }} as loads
            where loads.load_id = last_seen.load_id
        ) as landed_at
    from (select least({{ seen | join(', ') }}) as load_id) as last_seen
{% endmacro %}

{% macro visitor_models_read(node_ids) %}
    {#-
        Names of the models incremental by visitor among `node_ids`, and behind the views among
        them.
    -#}
    {%- set names = [] -%}
    {%- if execute -%}
        {%- for node_id in node_ids if node_id in graph.nodes -%}
            {%- set node = graph.nodes[node_id] -%}
            {%- if node.config.materialized == 'by_visitor' -%}
                {%- do names.append(optimizely_e3.name_in_schema(node)) -%}
            {%- elif node.resource_type == 'model' -%}
                {%- do names.extend(optimizely_e3.visitor_models_read(node.depends_on.nodes)) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(names | unique | list) -}}
{% endmacro %}

{% macro visitor_models() %}
    {#- Names of all models incremental by visitor. -#}
    {%- set names = [] -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'by_visitor' -%}
        {%- do names.append(optimizely_e3.name_in_schema(node)) -%}
    {%- endfor -%}
    {{- return(names) -}}
{% endmacro %}

{% macro prepare_build() %}
    {#-
        Before anything is built: settings are checked, the sources stand for the lake if there is
        one, something is landed, the watermarks have their table, and the seeds are there, or about
        to be.
    -#}
    {%- if execute and flags.WHICH in ('build', 'run', 'test') -%}
        {%- do optimizely_e3.check_settings() -%}
        {%- do optimizely_e3.attach_lake() -%}
        {%- if target.type == 'duckdb' -%}
            {%- do optimizely_e3.prepare_watermarks() -%}
        {%- endif -%}
        {%- if flags.WHICH != 'test' -%}
            {%- do optimizely_e3.check_seeds() -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro prepare_watermarks() %}
    {%- set loads = source('optimizely_ledger', 'loads') -%}
    {%- set watermarks = optimizely_e3.watermark_table() -%}
    {%- if adapter.get_relation(loads.database, loads.schema, loads.identifier) is none -%}
        {%- do exceptions.raise_compiler_error(
            'Nothing is landed in this warehouse yet: run `loader pull` first.'
        ) -%}
    {%- endif -%}
    {%- do run_query('create schema if not exists ' ~ watermarks.include(identifier=false)) -%}
    {%- do run_query(
        'create table if not exists ' ~ watermarks
        ~ ' (model varchar, settings varchar, load_id bigint, landed_at timestamp)'
    ) -%}
    {#- Built by an older version. -#}
    {%- do run_query(
        'alter table ' ~ watermarks ~ ' add column if not exists landed_at timestamp'
    ) -%}
    {%- do run_query(
        'create table if not exists ' ~ optimizely_e3.metrics_table()
        ~ ' (model varchar, metric_name varchar, fingerprint varchar)'
    ) -%}
    {%- do run_query(
        'create table if not exists ' ~ optimizely_e3.versions_table()
        ~ ' (model varchar, inputs varchar, version varchar)'
    ) -%}
    {#- dbt would roll back what a hook leaves open. -#}
    {%- do adapter.commit() -%}
    {#- Of another lake, or of a backup, the ledger has other loads under the same ids. -#}
    {%- set is_of_other_loads = run_query(
        'select count(*) > 0 from ' ~ watermarks ~ ' as seen left join ' ~ loads ~ ' as loads'
        ~ ' on seen.load_id = loads.load_id where seen.load_id > 0 and ('
        ~ 'loads.load_id is null or seen.landed_at <> loads.landed_at) and seen.model in ('
        ~ optimizely_e3.text_list(optimizely_e3.visitor_models()) ~ ')'
    ).columns[0].values()[0] -%}
    {%- if is_of_other_loads and not flags.FULL_REFRESH -%}
        {%- do exceptions.raise_compiler_error(
            'The staging tables were landed anew since the last build: '
            ~ 'run `dbt build --full-refresh`.'
        ) -%}
    {%- endif -%}
{% endmacro %}

{% macro check_seeds() %}
    {#- `dbt run` loads no seed, and a model that reads a missing one fails with no remedy. -#}
    {%- set missing = [] -%}
    {%- for node_id in selected_resources if node_id in graph.nodes -%}
        {%- for parent_id in graph.nodes[node_id].depends_on.get('nodes', [])
            if parent_id.startswith('seed.') and parent_id not in selected_resources
        -%}
            {%- set seed = graph.nodes[parent_id] -%}
            {%- if adapter.get_relation(seed.database, seed.schema, seed.alias) is none -%}
                {%- do missing.append(seed.name) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if missing -%}
        {%- do exceptions.raise_compiler_error(
            'Not in this warehouse: seed ' ~ missing | unique | sort | join(', ')
            ~ '. Run `dbt seed` first, or `dbt build`, which loads seeds too.'
        ) -%}
    {%- endif -%}
{% endmacro %}

{% macro check_settings() %}
    {%- set allowed = {
        'attribution': ['derived', 'vendor'],
        'visitor_counting': ['full_stack', 'web'],
        'crossovers': ['first', 'exclude'],
        'decision_method': ['always_valid', 'fixed_horizon'],
        'correction': ['benjamini_hochberg', 'holm', 'none'],
    } -%}
    {%- set mistakes = [] -%}
    {%- for name, values in allowed.items() if var(name) not in values -%}
        {%- set must = ', must be ' ~ values | join(' or ') -%}
        {%- do mistakes.append(name ~ ' is "' ~ var(name) ~ '"' ~ must) -%}
    {%- endfor -%}
    {%- set hours = var('attribution_window_hours') -%}
    {%- if hours is boolean or hours is not number or hours < 0 -%}
        {%- do mistakes.append(
            'attribution_window_hours must be a number of hours, 0 for no limit'
        ) -%}
    {%- endif -%}
    {%- for name in ['segments', 'observation_models'] -%}
        {%- if var(name) is string or var(name) is not sequence -%}
            {%- do mistakes.append(name ~ ' must be a list of names') -%}
        {%- elif var(name) | unique(case_sensitive=true) | list | length < var(name) | length -%}
            {%- do mistakes.append(name ~ ' must name each once') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if 'all' in var('segments') -%}
        {%- do mistakes.append('segments names "all", which is everyone') -%}
    {%- endif -%}
    {%- if var('automatic_metrics') is not boolean -%}
        {%- do mistakes.append('automatic_metrics must be true or false') -%}
    {%- endif -%}
    {%- for name, lowest in {'confidence_level': 0.5, 'power': 0.5, 'mixing_scale': 0}.items() -%}
        {%- if not optimizely_e3.is_number(var(name)) or not lowest < var(name) < 1 -%}
            {%- do mistakes.append(name ~ ' must be a number between ' ~ lowest ~ ' and 1') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name in ['minimum_visitors', 'minimum_conversions', 'cuped_days'] -%}
        {%- if var(name) is not integer or var(name) < 0 -%}
            {%- do mistakes.append(name ~ ' must be a whole number') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set event_limit = var('bot_events_per_minute') -%}
    {%- if event_limit is not integer or event_limit < 0 -%}
        {%- do mistakes.append(
            'bot_events_per_minute must be a whole number of events, 0 for no limit'
        ) -%}
    {%- endif -%}
    {%- do mistakes.extend(optimizely_e3.threshold_mistakes()) -%}
    {%- if mistakes -%}
        {%- do exceptions.raise_compiler_error('Wrong vars: ' ~ mistakes | join('; ')) -%}
    {%- endif -%}
{% endmacro %}
