{# No two rows agree in all `columns`; NULL equals NULL. Returns the repeated combinations. #}
{% test unique_together(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
