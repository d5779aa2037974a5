{#
    Tables that are rebuilt only if something they are made of has changed. What a model holds has a
    version, in the table `build_versions`: the build that last wrote it. A table is made of its own
    SQL and that of the views it reads through, of the versions of the tables behind these, of seeds,
    and of what the ledger says of the landed rows. What else a model may read has no version: then
    it is rebuilt each time. So it is behind a view that is not built in the same run, for DuckDB
    spells the SQL of a view otherwise once it has read it from the file.
#}

{% materialization table_if_changed, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set inputs = optimizely_e3.inputs_of_table() -%}
    {%- if existing is not none and not should_full_refresh() and inputs.is_recorded -%}
        {%- call noop_statement('main', 'UNCHANGED') -%}{%- endcall -%}
        {{- return({'relations': [this]}) -}}
    {%- endif -%}
    {%- set built = this.incorporate(type='table') -%}
    {%- call optimizely_e3.in_one_transaction() -%}
        {{ optimizely_e3.new_table(existing, built) }}
        {{ optimizely_e3.note_version(inputs.hash) }};
    {%- endcall -%}
    {{- return({'relations': [built]}) -}}
{% endmaterialization %}

{% materialization table_if_changed, adapter='spark' %}
    {#- Rebuilt each time, as everything is there. -#}
    {{- return(dbt.materialization_table_spark()) -}}
{% endmaterialization %}

{% macro versions_table() %}
    {{- return(api.Relation.create(
        database=target.database, schema=target.schema, identifier='build_versions'
    )) -}}
{% endmacro %}

{% macro note_version(inputs='') %}
    {#- In the transaction that writes the model. -#}
    {%- set this_name = optimizely_e3.name_in_schema(model) -%}
    delete from {{ optimizely_e3.versions_table() }} where model = '{{ this_name }}';
    insert into {{ optimizely_e3.versions_table() }}
    values ('{{ this_name }}', '{{ inputs }}', '{{ invocation_id }}')
{% endmacro %}

{% macro inputs_of_table() %}
    {#-
        The hash of all that this model is made of, and whether the table was made of the same.
        Another each time where that is not known.
    -#}
    {%- set found = {'views': [], 'tables': [], 'contents': [], 'others': []} -%}
    {%- do optimizely_e3.collect_inputs(model.depends_on.nodes, found) -%}
    {%- if found.others -%}
        {{- return({'hash': invocation_id, 'is_recorded': false}) -}}
    {%- endif -%}
    {%- set parts = ["'" ~ local_md5(compiled_code) ~ "'"] -%}
    {%- if found.views -%}
        {%- do parts.append(
            "(select string_agg(sql, ';' order by sql) from duckdb_views()"
            ~ ' where database_name = current_database()'
            ~ " and schema_name || '.' || view_name in ("
            ~ optimizely_e3.text_list(found.views) ~ '))'
        ) -%}
    {%- endif -%}
    {%- if found.tables -%}
        {%- do parts.append(
            "(select string_agg(model || version, ';' order by model) from "
            ~ optimizely_e3.versions_table() ~ ' where model in ('
            ~ optimizely_e3.text_list(found.tables) ~ '))'
        ) -%}
    {%- endif -%}
    {%- for relation in found.contents -%}
        {%- do parts.append(
            "(select count(*) || ' ' || coalesce(sum(hash(whole)), 0) from " ~ relation
            ~ ' as whole)'
        ) -%}
    {%- endfor -%}
    {%- set row = run_query(
        'select hash, exists (select 1 from ' ~ optimizely_e3.versions_table()
        ~ " where model = '" ~ optimizely_e3.name_in_schema(model) ~ "' and inputs = hash)"
        ~ " from (select md5(concat_ws('|', " ~ parts | join(', ') ~ ')) as hash) as hashed'
    ).rows[0] -%}
    {{- return({'hash': row[0], 'is_recorded': row[1]}) -}}
{% endmacro %}

{% macro collect_inputs(node_ids, found) %}
    {#-
        Adds to `found` what these nodes stand for: `views` and `tables` by name, relations whose
        `contents` are small, and `others`.
    -#}
    {%- for node_id in node_ids -%}
        {%- if node_id in graph.sources -%}
            {%- set node = graph.sources[node_id] -%}
            {%- if node.source_name == 'optimizely_raw' and node.name in ('decisions', 'conversions') -%}
                {%- set node = source('optimizely_ledger', 'loads') -%}
            {%- else -%}
                {%- set node = source(node.source_name, node.name) -%}
            {%- endif -%}
            {%- do found.contents.append(node) if node not in found.contents -%}
        {%- else -%}
            {%- set node = graph.nodes[node_id] -%}
            {%- set name = optimizely_e3.name_in_schema(node) -%}
            {%- if node.resource_type == 'seed' -%}
                {%- do found.contents.append(name) if name not in found.contents -%}
            {%- elif node.config.materialized in ('view', 'replaced_view') -%}
                {%- if name not in found.views -%}
                    {%- do found.views.append(name) -%}
                    {%- do optimizely_e3.collect_inputs(node.depends_on.nodes, found) -%}
                {%- endif -%}
            {%- elif node.config.materialized in ('table_if_changed', 'by_visitor') -%}
                {%- do found.tables.append(name) if name not in found.tables -%}
            {%- else -%}
                {%- do found.others.append(name) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
