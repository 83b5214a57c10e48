# %% [markdown]
# # segment
