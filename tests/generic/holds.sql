{#
    `condition` holds in every row; unknown (NULL) passes. On a column or on a model. Returns the
    rows against it.
#}
{% test holds(model, condition, column_name=none) %}
select *
from {{ model }}
where not ({{ condition }})
{% endtest %}
